"""The files of a model that somebody else made, read in a process of its own before anything here reads them."""

from __future__ import annotations

import sys
from pathlib import Path

from shosei.cli.limited import begin_step, limited_main, run_limited
from shosei.model.hf_config import read_spec
from shosei.model.hf_files import weight_files
from shosei.text.foreign import tokenizer_files

# CPU seconds and bytes for all that is not weights: the largest vocabularies of GGUF files take half a minute.
_SECONDS, _BYTES = 60, 2 << 30
# The slowest disk and core on which weights are still unpacked; in 32 bits they are up to 16 times the file's size.
_BYTES_PER_SECOND, _GROWTH = 5e6, 16


def try_reading(source: Path, *, temporary: bool = False) -> None:
    """Read config, list of weights and tokenizer of the folder ``source`` once, within limits.

    Of a ``temporary`` folder the user knows nothing, so that no message names it. Raises InputError, one line, for
    whatever fails, or takes longer or more memory than it may.
    """
    run_limited(__name__, [str(source)], 4 * _SECONDS, within=source if temporary else None)


def unpack_limited(file: Path, folder: Path) -> None:
    """Unpack the GGUF ``file`` into ``folder``, which is then one like any other. Raises InputError as above."""
    run_limited(__name__, [str(file), str(folder)], 4 * (_SECONDS + file.stat().st_size / _BYTES_PER_SECOND))


def _read(source: Path) -> None:
    begin_step("config, list of weights and tokenizer", _SECONDS, _BYTES)
    read_spec(source)
    weight_files(source)
    tokenizer_files(source)


def _unpack(file: Path, folder: Path) -> None:
    from shosei.model.gguf_import import Values, unpack_description, unpack_weights

    size = file.stat().st_size
    begin_step(f"metadata of {file}", _SECONDS, _BYTES)
    values = Values(file)
    unpack_description(values, folder)
    begin_step(f"weights of {file}", _SECONDS + size / _BYTES_PER_SECOND, _BYTES + _GROWTH * size)
    unpack_weights(values, folder)


if __name__ == "__main__":
    paths = [Path(argument) for argument in sys.argv[1:]]
    sys.exit(limited_main(lambda: _unpack(*paths) if paths[1:] else _read(*paths)))
