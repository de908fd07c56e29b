"""The same work measured by Shosei and by other meters: ``python bench/agree.py --peers DIR [--only NAME …]``.

Run it before every release. DIR holds an environment for each peer, ``DIR/aiperf``, ``DIR/lm-eval`` and ``DIR/cmrc``
(with nltk), never the one that Shosei is in; scikit-learn is taken from this one. The official scripts of SQuAD 1.1
and CMRC 2018 are given by ``--squad`` and ``--cmrc``; ``time`` is Debian's package. A peer that is absent is not
measured, and its line says what would install it. With all of them it takes seven minutes.

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

METERS: dict[str, Callable[[argparse.Namespace], Comparison]] = {
    "aiperf": lambda given: load.compare(given.peers),
    "lm-eval": lambda given: lm_eval.compare(given.peers),
    "scikit-learn": lambda given: classes.compare(),
    "squad": lambda given: spans.compare_squad(given.squad),
    "cmrc": lambda given: spans.compare_cmrc(given.peers, given.cmrc),
    "time": lambda given: process.compare(),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peers", type=absolute, required=True, metavar="DIR", help="where the peers' environments are"
    )
    parser.add_argument("--only", nargs="+", choices=METERS, default=list(METERS), help="some of the peers")
    parser.add_argument("--squad", type=script, help="SQuAD's official evaluate-v1.1.py")
    parser.add_argument("--cmrc", type=script, help="CMRC 2018's official cmrc2018_evaluate.py for Python 3")
    given = parser.parse_args()
    comparisons = [METERS[name](given) for name in given.only]
    print(markdown(comparisons, EXPLANATIONS))
    differing = unexplained(comparisons, EXPLANATIONS)
    for quantity in differing:
        print(f"unexplained: {quantity}", file=sys.stderr)
    return UNEXPLAINED if differing else 0


def absolute(path: str) -> Path:
    """Peers are started in folders of their own."""
    return Path(path).absolute()


def script(path: str) -> Path:
    if not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {path}")
    return absolute(path)


if __name__ == "__main__":
    sys.exit(main())
