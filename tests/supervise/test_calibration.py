"""The meters against known truths: so many bytes written and held, so much CPU, a death of a known kind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shosei.log import ProcExit, Sample, read_log
from shosei.metrics.cells import compute
from shosei.metrics.metric import text
from shosei.metrics.resources.memory import memory
from shosei.supervise import HeartbeatConfig, classify, meters
from shosei.supervise.cgroup import Cgroup
from supervised import MB, SHOSEI, linux, python, samples, supervise

pytestmark = linux


@pytest.fixture(params=["control group", "no control group"])
def grouped(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways to know which processes belong to a command."""
    if request.param == "control group":
        if not (probe := Cgroup.create("shosei-probe")):
            pytest.skip("no rights to make a control group")
        probe.remove()
        return True
    monkeypatch.setattr(Cgroup, "create", lambda _name: None)
    return False


def test_256_mb_written_and_synced(tmp_path: Path, grouped: bool) -> None:
    """A worker writes them, so that the tree is metered and not only its leader. Tolerance 1 %."""
    writer = (
        "import os, sys\nfile = open(sys.argv[1], 'wb', buffering=0)\n"
        "for _ in range(64): file.write(bytes(4_000_000))\nos.fsync(file.fileno()); os.unlink(sys.argv[1])"
    )
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]], check=True)"
    # On a file system in memory nothing reaches the storage layer: the test's own folder may be one.
    _, log = supervise(tmp_path / "run", python("writer", program, writer, tmp_path / "data"))
    last = samples(log, "writer")[-1]
    assert last.write_chars == pytest.approx(256 * MB, rel=0.01)
    if last.write_bytes:
        assert last.write_bytes == pytest.approx(256 * MB, rel=0.01)


def test_512_mb_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grouped: bool) -> None:
    """Tolerance 5 %: the interpreter itself takes 10 MB. PSS may cost more here than in earnest, to be read in time."""
    monkeypatch.setattr(meters, "_PSS_SHARE", 0.1)
    program = "import time; held = bytearray(512_000_000); held[::4096] = bytes(len(held[::4096])); time.sleep(0.7)"
    _, log = supervise(tmp_path / "run", python("holder", program))
    for gauge in ("rss_bytes", "pss_bytes", "peak_bytes"):
        assert max(getattr(s, gauge) or 0 for s in samples(log, "holder")) == pytest.approx(512 * MB, rel=0.05), gauge
    kernel = [sample.peak_bytes for sample in log.of(Sample) if sample.scope == "cgroup"]
    if kernel:
        assert kernel[-1] == pytest.approx(512 * MB, rel=0.05)
        pss = max(sample.pss_bytes or 0 for sample in samples(log, "holder"))
        assert memory(log).value == max(kernel[-1], pss)


def test_a_peak_between_two_samples_is_seen(tmp_path: Path, grouped: bool) -> None:
    """200 MB held for an instant: sampling misses them, the high-water mark does not."""
    program = (
        "import time; time.sleep(1); held = bytearray(200_000_000); held[::4096] = bytes(len(held[::4096])); del held; "
        "time.sleep(1.2)"
    )
    _, log = supervise(tmp_path / "run", python("peaky", program), interval_s=1.8)
    seen = samples(log, "peaky")
    assert max(sample.rss_bytes or 0 for sample in seen) < 100 * MB
    assert max(sample.peak_bytes or 0 for sample in seen) == pytest.approx(200 * MB, rel=0.1)


def test_one_core_burnt_for_two_seconds_of_its_time(tmp_path: Path, grouped: bool) -> None:
    """Half of it in a worker that is never waited for. Tolerance 5 %: interpreters start."""
    burn = "import time\nwhile time.process_time() < 1: pass\n"
    program = (
        f"import subprocess, sys; worker = subprocess.Popen([sys.executable, '-c', {burn!r}])\n{burn}time.sleep(0.5)"
    )
    _, log = supervise(tmp_path / "run", python("burner", program))
    assert samples(log, "burner")[-1].cpu_ns == pytest.approx(2e9, rel=0.05)


@pytest.mark.parametrize(
    ("program", "cause", "code", "signum"),
    [
        ("sys.exit(3)", "exception", 3, None),
        ("raise RuntimeError", "exception", 1, None),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "signal", None, signal.SIGSEGV),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal", None, signal.SIGKILL),
    ],
)
def test_a_death_has_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, cause: str, code: int | None, signum: int | None
) -> None:
    monkeypatch.setattr(classify, "_START_UP_NS", 0)
    program = f"import os, signal, sys\n{program}"
    _, log = supervise(tmp_path / "run", python("dying", program), max_restarts=0)
    (end,) = log.of(ProcExit)
    assert (end.planned, end.cause, end.code, end.signal) == (False, cause, code, signum)


# Runs a worker that wants 500 MB under a limit of 60 MB that it has put on its own group.
LIMITED = """
import pathlib, subprocess, sys
want = "held = bytearray(500_000_000); held[::4096] = bytes(len(held[::4096]))"
groups = dict(line.split(":")[1:] for line in pathlib.Path("/proc/self/cgroup").read_text().split())
folder = pathlib.Path("/sys/fs/cgroup/memory") if "memory" in groups else pathlib.Path("/sys/fs/cgroup")
name = "memory.limit_in_bytes" if "memory" in groups else "memory.max"
(folder / groups.get("memory", groups.get("")).lstrip("/") / name).write_text("60000000")
sys.exit(subprocess.run([sys.executable, "-c", want]).returncode and 1)
"""


def test_a_kill_by_the_groups_memory_limit_is_out_of_memory(tmp_path: Path) -> None:
    """The kernel kills the worker; the command, which waits for it, ends with an ordinary code."""
    probe = Cgroup.create("shosei-probe")
    if not probe or probe.memory_bytes() is None:
        pytest.skip("no rights to make a control group with a memory controller")
    probe.remove()
    _, log = supervise(tmp_path / "run", python("limited", LIMITED), max_restarts=0)
    (end,) = log.of(ProcExit)
    assert (end.cause, end.code) == ("out of memory", 1)


def test_a_memory_error_that_the_output_tells_of_is_out_of_memory(tmp_path: Path) -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (200_000_000, 200_000_000)); bytearray(500_000_000)"
    )
    child = python("limited", program, heartbeat=HeartbeatConfig(pattern="step"))
    _, log = supervise(tmp_path / "run", child, max_restarts=0)
    assert [(end.cause, end.code) for end in log.of(ProcExit)] == [("out of memory", 1)]


SEND = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 5001)) as peer:
    for _ in range(50): peer.sendall(bytes(1_000_000))
    peer.shutdown(socket.SHUT_WR); peer.recv(1)
"""
RECEIVE = """
import socket
with socket.create_server(("", 5001)) as server:
    peer, _ = server.accept()
    while peer.recv(1 << 20): pass
    peer.close()
"""


@pytest.fixture
def two_namespaces() -> Iterator[tuple[str, str]]:
    """Two network namespaces joined by a veth pair, with the addresses 10.77.0.1 and 10.77.0.2."""
    names = f"shosei-{os.getpid()}-a", f"shosei-{os.getpid()}-b"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "veth-a", "netns", names[0], "type", "veth", "peer", "name", "veth-b", "netns", names[1])
        for number, (name, link) in enumerate(zip(names, ("veth-a", "veth-b"), strict=True), 1):
            ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
            ip("-n", name, "link", "set", "lo", "up")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no rights to make two network namespaces with a veth pair: {error}")
    else:
        yield names
    finally:
        for name in names:
            with contextlib.suppress(OSError):
                subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def test_50_mb_between_two_namespaces(tmp_path: Path, two_namespaces: tuple[str, str]) -> None:
    """Each side's interface counts them, with 1 to 5 % of headers; loopback, in use too, is not there."""
    sender, receiver = two_namespaces
    supervised = [SHOSEI, "supervise", "--run", tmp_path / "run", "--max-restarts", "20", "--backoff", "0.05"]

    def start(namespace: str, name: str, *command: str) -> subprocess.Popen[bytes]:
        words = ["ip", "netns", "exec", namespace, *supervised, "--name", name, "--", sys.executable, "-c", *command]
        return subprocess.Popen(words, stderr=subprocess.PIPE, env={**os.environ, "GROUP_WORLD_SIZE": "2"})

    with start(receiver, "receiver", RECEIVE) as server, start(sender, "sender", SEND, "10.77.0.2") as client:
        assert client.wait(60) == 0, client.stderr and client.stderr.read()
        assert server.wait(60) == 0
    log = read_log(tmp_path / "run" / "log")
    interfaces = {sample.name for sample in log.of(Sample) if sample.scope == "nic"}
    assert interfaces == {"veth-a", "veth-b"}
    for name, counter in (("veth-a", "sent_bytes"), ("veth-b", "received_bytes")):
        counts = [getattr(sample, counter) for sample in log.of(Sample) if sample.name == name]
        assert 50 * MB * 1.001 < counts[-1] - counts[0] < 50 * MB * 1.05
    network = next(cell for cell in compute(log) if cell.id == "network" and cell.phase == "training")
    assert network.status in ("ok", "insufficient")
    table = next(table for table in network.breakdown if table.title == text("resources.nodes"))
    assert all(row[1] == pytest.approx(50 * MB, rel=0.08) for row in table.rows)
