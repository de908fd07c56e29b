"""Counters of the network interfaces that this process sees (Linux)."""

from __future__ import annotations

from shosei.log import Sample
from shosei.supervise.processes import read

_LOOPBACK = "lo"
_SENT = 8  # the columns before it are those of what was received; bytes come first in both


def read_interfaces() -> list[Sample]:
    """A sample for each interface, whoever caused the traffic. What a machine says to itself is no network."""
    samples = []
    for line in read("/proc/self/net/dev").decode().splitlines()[2:]:
        name, _, columns = line.partition(":")
        if name.strip() != _LOOPBACK:
            counts = columns.split()
            received, sent = int(counts[0]), int(counts[_SENT])
            samples.append(Sample(scope="nic", name=name.strip(), received_bytes=received, sent_bytes=sent))
    return samples
