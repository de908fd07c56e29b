"""Why figures of Shosei and of a peer differ by more than ``table.TOLERANCE``, and by how much at most."""

from __future__ import annotations

from agreement.server import TAIL_S
from agreement.table import Explanation

_TAIL = Explanation(
    f"AIPerf's ends with the last token, ours with the last byte, here {TAIL_S * 1e3:.0f} ms later: next rows",
    0.06,
)
_NO_CLASS = Explanation(
    "an answer without a class is a wrong prediction to us; scikit-learn, given the true classes, leaves it out", 0.10
)
_DENIED = "a regular expression also takes what the answer denies; ours reads the sentence"

# By "peer: quantity".
EXPLANATIONS: dict[str, Explanation] = {
    **{f"AIPerf: response, {figure}": _TAIL for figure in ("mean", "p50", "p90", "p99")},
    "lm-eval: numbers, some denied": Explanation(_DENIED, 0.25),
    "lm-eval: choices, some denied": Explanation(_DENIED, 0.25),
    "lm-eval: names to the letter": Explanation("ours leaves out one final sentence mark, lm-eval none", 0.40),
    "scikit-learn: micro precision": _NO_CLASS,
    "scikit-learn: micro f1": _NO_CLASS,
    "CMRC 2018: F1": Explanation(
        "ours counts shared tokens in any order, CMRC's script the longest common run; --f1 cmrc2018 has its rule", 0.20
    ),
    "CMRC 2018: exact match": Explanation(
        "ours takes full width, and spaces between Chinese characters, for the same text; CMRC's script does not", 0.15
    ),
    "time -v: peak memory of two processes": Explanation(
        "time tells the largest process of the tree, ours the whole tree", 1.05
    ),
}
