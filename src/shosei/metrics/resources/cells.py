"""The cells of resources."""

from __future__ import annotations

from shosei.log import Comm, Request, Sample, Window
from shosei.metrics.cell import Cell
from shosei.metrics.resources.disk_io import disk_io
from shosei.metrics.resources.memory import memory
from shosei.metrics.resources.network import between_nodes, client_to_server
from shosei.metrics.series import fact_of_this_machine

_SUPERVISE = "shosei supervise --run RUN -- shosei train --run RUN"
_SERVE = "shosei serve RUN --run RUN"

CELLS = [
    Cell("memory", "training", "bytes", "lower", (Sample,), memory, command=_SUPERVISE),
    Cell("memory", "inference", "bytes", "lower", (Sample,), memory, command=_SERVE),
    Cell("disk_io", "training", "MB/s", "lower", (Sample,), disk_io, command=_SUPERVISE),
    Cell("disk_io", "inference", "MB/s", "lower", (Sample,), disk_io, command=_SERVE),
    Cell("network", "training", "Gbps", "higher", (),
         fact_of_this_machine("training", between_nodes), may_read=(Sample, Comm)),
    Cell("network", "inference", "Gbps", "higher", (), client_to_server, may_read=(Request, Window)),
]  # fmt: skip
