"""The same work measured by Shosei and by other meters: ``python bench/agree.py --peers DIR [--only NAME …]``.

Run it before every release. DIR holds an environment for each peer, ``DIR/aiperf``, ``DIR/lm-eval`` and ``DIR/cmrc``
(with nltk), never the one that Shosei is in; scikit-learn is taken from this one. The official scripts of SQuAD and
CMRC 2018 are given by ``--squad`` and ``--cmrc``; ``time`` is Debian's package. A peer that is absent is not measured,
and the table says what would install it. Takes five minutes, with everything.

Each difference over 2 %, from the peer or from the truth, needs an entry in ``agreement/explanations.py`` that allows
for as much; one that has none ends this with exit code 3.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from agreement import classes, lm_eval, load, process, spans
from agreement.explanations import EXPLANATIONS
from agreement.table import UNEXPLAINED, Comparison, markdown, unexplained


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True, metavar="DIR")
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--squad", type=Path, help="SQuAD's official evaluate-v1.1.py")
    parser.add_argument("--cmrc", type=Path, help="CMRC 2018's official cmrc2018_evaluate.py, the one for Python 3")
    options = parser.parse_args()
    peers = options.peers.absolute()
    meters: dict[str, Callable[[], Comparison]] = {
        "aiperf": lambda: load.compare(peers),
        "lm-eval": lambda: lm_eval.compare(peers),
        "scikit-learn": classes.compare,
        "squad": lambda: spans.compare_squad(options.squad),
        "cmrc": lambda: spans.compare_cmrc(peers, options.cmrc),
        "time": process.compare,
    }
    comparisons = [meters[name]() for name in options.only]
    print(markdown(comparisons, EXPLANATIONS))
    missing = unexplained(comparisons, EXPLANATIONS)
    for quantity in missing:
        print(f"unexplained: {quantity}", file=sys.stderr)
    return UNEXPLAINED if missing else 0


NAMES = ("aiperf", "lm-eval", "scikit-learn", "squad", "cmrc", "time")

if __name__ == "__main__":
    sys.exit(main())
