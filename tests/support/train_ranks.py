"""A rank of a training of the tiny shape: ``torchrun … train_ranks.py RUN [DIE_AT_STEP] [KEY=VALUE …]``.

With ``DIE_AT_STEP`` other than 0, the last rank kills itself before that step, once.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from shosei.cli.main import main
from shosei.spec import PRESETS
from shosei.train import ranks, trainer
from train_samples import TINY

learn = trainer.learn
marker = Path(sys.argv[1], "killed")
steps = 0


def learn_or_die(*arguments: object) -> object:
    global steps
    steps += 1
    if steps == int(sys.argv[2]) and ranks.rank() == ranks.count() - 1 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return learn(*arguments)  # type: ignore[arg-type]


trainer.learn = learn_or_die
with pytest.MonkeyPatch.context() as patch:
    patch.setitem(PRESETS, "nano", TINY)
    main(["train", "--run", sys.argv[1], *(word for option in sys.argv[3:] for word in ("--set", f"train.{option}"))])
