"""torchrun for ``shosei train --ranks``: the same verb as several ranks, and one exit code for all of them."""

from __future__ import annotations

import logging
import os
import re
import sys
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # before torch is loaded: its warnings of sockets bury ours

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from shosei.cli.common import say
from shosei.errors import EXIT_OK, InputError, Terminated, exit_code_of_error
from shosei.lineage import PARENT_VARIABLE
from shosei.log.hardware import hardware

_CONSEQUENCES = (exit_code_of_error(Terminated()), -15)  # how a rank ends that lost another, or was told to end


def check_ranks(count: int | None, nodes: int, rendezvous: str | None) -> None:
    """Raise InputError for options that do not go together."""
    if count is None and (nodes > 1 or rendezvous):
        raise InputError("--nodes and --rdzv are for several ranks: give --ranks, the ranks of each node")
    if count and "WORLD_SIZE" in os.environ:
        raise InputError(f"--ranks {count} starts the ranks itself: leave it out under torchrun")
    if nodes > 1 and not rendezvous:
        raise InputError(f"--nodes {nodes}: name where they meet, a port of the first of them: --rdzv HOST:PORT")
    if rendezvous and not _is_place(rendezvous):
        raise InputError(f"--rdzv {rendezvous}: write HOST:PORT, such as 10.0.0.1:29500")


def _is_place(rendezvous: str) -> bool:
    host, _, port = rendezvous.rpartition(":")
    is_host = re.fullmatch(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]", host)
    return bool(is_host and re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 1 << 16)


def launch(arguments: Sequence[str], count: int, nodes: int, rendezvous: str | None, job: str) -> int:
    """Run ``shosei ARGUMENTS`` as ``count`` ranks here, of ``nodes`` times as many; return its exit code.

    The nodes meet at ``rendezvous`` and know each other by the name ``job``. SIGTERM and Ctrl-C reach every rank, and
    none outlives this process. Of the ranks here only the first is heard, and in the end the one that failed.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, hardware()["cores"] // count)))
    os.environ[PARENT_VARIABLE] = str(os.getpid())
    logging.disable(logging.ERROR)  # torchrun's own story of an end; the ranks tell it, and the line below
    with TemporaryDirectory(prefix="shosei-ranks-") as heard:
        config = LaunchConfig(
            min_nodes=nodes,
            max_nodes=nodes,
            nproc_per_node=count,
            max_restarts=0,
            rdzv_backend="c10d",
            rdzv_endpoint=rendezvous or "localhost:0",
            run_id=job if rendezvous else uuid.uuid4().hex,
            logs_specs=DefaultLogsSpecs(heard, redirects=dict.fromkeys(range(1, count), Std.ERR)),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "shosei", *arguments)
        except ChildFailedError as error:
            return _told(_cause(error.failures.values()), Path(heard))
        except SignalException as error:
            return 128 + error.sigval
        except RendezvousError as error:
            raise InputError(f"the nodes did not meet at {rendezvous or 'localhost'}: {_first_line(error)}") from None
    return EXIT_OK


def _first_line(error: BaseException) -> str:
    """Without torch's stack of C++ calls and its hint at an error that is not shown."""
    return str(error).partition("\n")[0].removesuffix("See inner exception for details.").strip()


def _cause(failures: Iterable[ProcessFailure]) -> ProcessFailure:
    """The failure that the others follow from."""
    return min(failures, key=lambda failure: (failure.exitcode in _CONSEQUENCES, failure.local_rank))


def _told(failure: ProcessFailure, heard: Path) -> int:
    """Say what is not yet known of a rank's failure; return the exit code that it makes ours."""
    for words in heard.glob(f"*/attempt_*/{failure.local_rank}/stderr.log"):
        sys.stderr.write(words.read_text(errors="replace"))
    if failure.exitcode < 0:
        say(f"shosei: rank {failure.local_rank} was ended by {failure.signal_name()}")
        return 128 - failure.exitcode
    return failure.exitcode
