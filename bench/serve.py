"""Our engine beside llama.cpp and transformers on the same weights: ``python bench/serve.py --llama-cpp PYTHON``.

PYTHON is an interpreter that has llama-cpp-python; without it, and without ``transformers``, that peer is left out. The
weights are random, which is as fast as trained ones. Everybody is loaded and warmed up once, then measured by turns;
before every round the machine's read bandwidth and GEMM rates are measured. Prints Markdown with goals and verdicts.
Run it on a quiet machine. ``--only`` and ``--format`` may be repeated; ``--only`` takes names of these parts: {parts}.

http: beside ``--llama-server`` and ``--vllm``. avx2: beside llama.cpp's libraries built for AVX2, in ``--llama-avx2``.
torch: torch alone, beside an earlier checkout of this code, in ``--before``.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from serving import alone, before, servers
from serving.formats import AVX2, BUSY, WORK, Format, formats
from serving.models import Model, made
from serving.turns import avx2_only, by_turns, everybody, table

from shosei.load.speed import NotMeasured

PRESETS = ("ja-small", "internlm-tiny")
WEIGHTS = list(dict.fromkeys(form.weights for bits in (4, 8) for form in formats(bits)))
Part = Callable[[Model, argparse.Namespace], Iterator[str]]


def main() -> None:
    given = options()
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.preset or PRESETS:
            model = made(name, given.models or Path(scratch), given.llama_cpp)
            for part in given.only or PARTS:
                for line in PARTS[part](model, given):
                    print(line, flush=True)
                print(flush=True)


def options() -> argparse.Namespace:
    words = (__doc__ or "").format(parts=", ".join(PARTS))
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-cpp", metavar="PYTHON", help="Interpreter with llama-cpp-python.")
    parser.add_argument("--llama-server", metavar="BINARY", help="llama.cpp's own server.")
    parser.add_argument("--llama-avx2", type=Path, metavar="FOLDER", help="llama.cpp's shared libraries for AVX2.")
    parser.add_argument("--vllm", metavar="PYTHON", help="Interpreter with vLLM for CPUs.")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="Earlier code, to compare torch's path with.")
    parser.add_argument("--preset", action="append", help=f"Repeatable (default: {', '.join(PRESETS)}).")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=list(PARTS), help="Repeatable (default: all).")
    parser.add_argument("--format", action="append", choices=WEIGHTS, help="Repeatable (default: all).")
    parser.add_argument("--models", type=Path, help="Keep the models' files in this folder, or take them from there.")
    parser.add_argument("--int4-head", type=int, choices=(4, 8), default=4, help="Bits of the head of our int4.")
    given = parser.parse_args()
    if given.llama_server and not given.llama_cpp:
        parser.error("--llama-server needs --llama-cpp, which makes its files")
    return given


def speed(model: Model, given: argparse.Namespace) -> Iterator[str]:
    """Decoding and prefill of every format."""
    yield from _measured(model, given, [name for name in WORK if name not in (BUSY, AVX2)])


def busy(model: Model, given: argparse.Namespace) -> Iterator[str]:
    """Decoding beside one busy process a core."""
    yield from _measured(model, given, [BUSY])


def avx2(model: Model, given: argparse.Namespace) -> Iterator[str]:
    """Decoding where there is no AVX-512, or as if there were none."""
    if given.llama_avx2 is None or given.llama_cpp is None:
        yield "AVX2: not measured: no --llama-avx2 and --llama-cpp"
        return
    with avx2_only(given.llama_avx2.absolute()):
        yield from _measured(model, given, [AVX2])


def torch_alone(model: Model, given: argparse.Namespace) -> Iterator[str]:
    """As where nothing can compile."""
    if given.before is None:
        yield "torch alone: not measured: no --before"
        return
    yield from before.torch_alone(model, given.rounds, given.before.absolute())


def _measured(model: Model, given: argparse.Namespace, work: list[str]) -> Iterator[str]:
    chosen = _chosen(given)
    with_transformers = work not in ([BUSY], [AVX2]) and importlib.util.find_spec("transformers") is not None
    with everybody(model, chosen, given.llama_cpp, with_transformers) as subjects:
        yield from table(model, chosen, *by_turns(model, subjects, work, given.rounds))


def requests(model: Model, given: argparse.Namespace) -> Iterator[str]:
    """Through HTTP."""
    installed = servers.Installed(given.llama_server, given.llama_cpp, given.vllm)
    for form in _chosen(given):
        try:
            yield from servers.requests(model, form, given.rounds, installed)
        except NotMeasured as failure:
            yield f"{form.name}: requests through HTTP: not measured: {failure}"


def _by_itself(measure: Callable[[Model, Format, int], Iterator[str]]) -> Part:
    def part(model: Model, given: argparse.Namespace) -> Iterator[str]:
        for form in _chosen(given):
            yield from measure(model, form, given.rounds)

    return part


def _chosen(given: argparse.Namespace) -> list[Format]:
    return [form for form in formats(given.int4_head) if form.weights in (given.format or WEIGHTS)]


PARTS: dict[str, Part] = {
    "speed": speed,
    "busy": busy,
    "avx2": avx2,
    "torch": torch_alone,
    "http": requests,
    "prefix": _by_itself(alone.prefix),
    "copy": _by_itself(alone.copying),
    "start": _by_itself(alone.start),
    "memory": _by_itself(alone.memory),
    "stall": _by_itself(alone.stall),
}

if __name__ == "__main__":
    main()
