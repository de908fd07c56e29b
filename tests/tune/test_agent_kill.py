"""A search over an agent system that is killed in the middle of a task: nothing stays, and it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import tomli_w

from agents_model import Model
from agents_runs import asking_command, suite
from shosei.log import Run, TuneTrial, TuneTrialBegin, read_log
from supervised import eventually, linux, lives

# Waits in its 20th task until a file is there, and says who waits.
_WAITS = """
import time
folder = {folder!r}
count = len(os.listdir(folder + "/done"))
if count >= 20 and not os.path.exists(folder + "/go"):
    with open(folder + "/waiting.part", "w") as file: file.write(str(os.getpid()))
    os.rename(folder + "/waiting.part", folder + "/waiting")
    time.sleep(1000)
open(folder + "/done/" + str(os.getpid()), "w").close()
print(42)
"""


@linux
def test_a_search_that_is_killed_leaves_nothing_running_and_counts_no_trial_twice(tmp_path: Path) -> None:
    server, out = Model(lambda _body: "?"), tmp_path / "out"
    suite(tmp_path, [str(number) for number in range(72)])
    (tmp_path / "done").mkdir()
    tables = {
        "objective": {"figure": "pass_at_1"},
        "space": {"style": {"type": "text", "default": "a", "choices": ["b"]}},
        "agent": {
            "command": asking_command(_WAITS.format(folder=str(tmp_path))),
            "tasks": ["tasks.jsonl"],
            "url": server.url,
            "rungs": 2,
            "rounds": 1,
        },
    }
    (tmp_path / "mine.toml").write_text(tomli_w.dumps(tables))
    command = [sys.executable, "-m", "shosei", "tune", "agent", str(tmp_path / "mine.toml"), "--out", str(out)]
    command += ["--budget", "14trials"]
    tuner = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        waiting = tmp_path / "waiting"
        assert eventually(waiting.exists, 120)
        os.kill(tuner.pid, signal.SIGKILL)
        tuner.communicate()
        assert eventually(lambda: not lives(int(waiting.read_text())), 20)
    finally:
        tuner.kill()
    before = read_log(Run(out).log)
    ended, begun = ({event.number for event in before.of(kind)} for kind in (TuneTrial, TuneTrialBegin))
    assert len(begun) == len(ended) + 1

    (tmp_path / "go").touch()
    subprocess.run(command, check=True, capture_output=True)
    server.stop()
    log = read_log(Run(out).log)
    numbers = [event.number for event in log.of(TuneTrial)]
    assert numbers == list(range(1, len(numbers) + 1))
    again = [event.number for event in log.of(TuneTrialBegin)]
    assert {number for number in again if again.count(number) > 1} == begun - ended
