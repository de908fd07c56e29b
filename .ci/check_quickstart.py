"""What a quickstart must have delivered: files, thirty cells with their statuses, accuracy, and a card that repeats.

With ``--cut-short`` its training was, and any accuracy will do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SKILLS = ("kana", "numerals", "sums", "width")
WITHOUT_VALUE = {"gpu_utilization": "na", "network": "na", "satisfaction": "not_measured"}


def main(run: Path, cut_short: bool) -> None:
    card_path = run / "card.json"
    card = json.loads(card_path.read_text())
    cells = {(metric["id"], metric["phase"]): metric for metric in card["metrics"]}
    assert len(cells) == 30, len(cells)
    for (name, phase), metric in cells.items():
        if name in WITHOUT_VALUE:
            assert metric["status"] == WITHOUT_VALUE[name], (name, phase, metric["status"])
        else:
            assert metric["status"] in ("ok", "insufficient"), (name, phase, metric["status"], metric["reason"])
            assert metric["value"] is not None and metric["n"] > 0, (name, phase)
    suites = next(t for t in cells["pass_at_1", "inference"]["breakdown"] if t["key"] == "accuracy.suites")
    shares = {suite: (value, n) for suite, value, _, _, n, *_ in suites["rows"]}
    for suite in SKILLS:
        value, n = shares[suite]
        print(f"{suite}: pass@1 {value:.3f}, n {n}")
        assert n >= 200 and (cut_short or value >= 0.85), suite
    macro = sum(shares[suite][0] for suite in SKILLS) / len(SKILLS)
    print(f"macro mean: {macro:.3f}")
    assert cut_short or macro >= 0.95, macro
    check_agents(run / "agents" / "router", cut_short)
    before = card_path.read_bytes()
    for name in ("card.json", "card.html", "card.md"):
        (run / name).unlink()
    subprocess.run([Path(sys.executable).with_name("shosei"), "card", run], check=True, stdout=subprocess.DEVNULL)
    assert card_path.read_bytes() == before, "card.json differs when computed again"
    assert (run / "card.html").stat().st_size < 1_000_000
    print("quickstart check passed")


def check_agents(router: Path, cut_short: bool) -> None:
    """The router's card says that it solves at least 40 points more than a single agent does."""
    metrics = json.loads((router / "card.json").read_text())["metrics"]
    solved = next(metric for metric in metrics if (metric["id"], metric["phase"]) == ("pass_at_1", "inference"))
    over = solved["figures"]["over_single"]
    print(f"router: pass@1 {solved['value']:.3f}, {over['value']:+.1f} points over single {over['ci']}, n {over['n']}")
    assert over["n"] >= 100 and (cut_short or (over["value"] >= 40 and over["ci"][0] > 0)), over


main(Path(sys.argv[1]), "--cut-short" in sys.argv[2:])
