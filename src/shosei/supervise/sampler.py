"""All that is read at regular times: the trees, the machine's interfaces and GPUs, and what we cost ourselves."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from shosei.log import Sample, Writer
from shosei.log.events import LOOPBACK
from shosei.proc import read
from shosei.supervise.gpu import GpuMeter
from shosei.supervise.meters import TreeMeter
from shosei.supervise.process import Child, Process

_SENT = 8  # the columns before it are those of what was received; bytes come first in both


class Sampler:
    """Writes ``sample`` events of ``children``."""

    def __init__(self, writer: Writer, children: Sequence[Child]) -> None:
        self._writer = writer
        self._trees = {child.name: TreeMeter(child.name, child.phase) for child in children}
        self._spares = {child.name: TreeMeter(f"{child.name} spare", child.phase) for child in children if child.spare}
        self._gpus = GpuMeter()

    def restarted(self, process: Process) -> None:
        """From here on, ``process`` is what is read of its child."""
        spare = self._spares.get(process.child.name) if process.was_spare else None
        self._trees[process.child.name].restarted(spare)
        if spare:
            spare.restarted()

    def tree(self, process: Process) -> None:
        """One tree, now."""
        self._write(self._trees[process.child.name].read(process))

    def spares(self, processes: Iterable[Process]) -> None:
        """The trees that wait in case they are needed: what they hold is held for the child."""
        for process in processes:
            self._write(self._spares[process.child.name].read(process))

    def machine(self) -> None:
        """What all trees share, now; and our own CPU time."""
        pids = {pid for meter in self._trees.values() for pid in meter.pids}
        self._write([*_interfaces(), *self._gpus.read(pids)])
        self._write([Sample(scope="self", name="supervise", cpu_ns=time.process_time_ns())])

    def _write(self, samples: Iterable[Sample]) -> None:
        for sample in samples:
            self._writer.emit(sample)


def _interfaces() -> list[Sample]:
    """A sample for each network interface that this process sees (Linux), whoever caused the traffic.

    What a machine says to itself does not pass the network.
    """
    samples = []
    for line in read("/proc/self/net/dev").decode().splitlines()[2:]:
        name, _, columns = line.partition(":")
        if name.strip() != LOOPBACK:
            counts = columns.split()
            received, sent = int(counts[0]), int(counts[_SENT])
            samples.append(Sample(scope="nic", name=name.strip(), received_bytes=received, sent_bytes=sent))
    return samples
