"""What it costs to hold answers to a schema: ``python bench/structured.py``, one thread.

Prints tokens a second of 8 streams of a random ``nano``, free and held to a JSON schema by turns, and what one mask
and one compilation take. The held streams are strings without an end, so that both make as many tokens.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from shosei.engine.engine import Engine
from shosei.engine.grammar import Grammars
from shosei.engine.protocol import Grammar, Submit
from shosei.model.transformer import Transformer
from shosei.spec import preset
from shosei.text import Tokenizer

TURNS, STREAMS, NEW = 7, 8, 200
SCHEMA = {"type": "object", "properties": {"s": {"type": "string", "minLength": 5_000}}, "required": ["s"]}


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    spec = preset("nano")
    model = Transformer(spec).eval()
    model.pack()
    grammar = Grammar(f"start: %json {json.dumps(SCHEMA)}")
    with tempfile.TemporaryDirectory() as folder:
        Tokenizer.train(["今天天气怎么样？東京の天気は？"], spec.vocab_size).save(Path(folder))
        grammars = Grammars(Path(folder), spec.vocab_size)

        def speed(form: Grammar | None) -> float:
            engine = Engine(model, spec, STREAMS, grammars=grammars)
            for number in range(STREAMS):
                engine.submit(Submit(number, [1] * 40, NEW, temperature=1.0, seed=number, grammar=form))
            start = time.perf_counter()
            while engine.busy:
                engine.step()
            return STREAMS * NEW / (time.perf_counter() - start)

        speed(grammar), speed(None)
        pairs = [(speed(None), speed(grammar)) for _ in range(TURNS)]
        free, held = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(after / before for before, after in pairs)
        print(f"{STREAMS} streams: free {free:,.0f} tokens/s, held {held:,.0f} tokens/s, ratio {ratio:.2f}")

        start = time.perf_counter()
        constraint = grammars.constraint(grammar)
        compiled = time.perf_counter()
        masks = []
        for token in Tokenizer.load(Path(folder)).encode('{"s":"' + "東京の天気" * 40):
            begin = time.perf_counter()
            constraint.allowed()
            masks.append(time.perf_counter() - begin)
            constraint.take(token)
    print(f"one compilation {1e3 * (compiled - start):.2f} ms, one mask {1e6 * statistics.median(masks):.0f} µs")


if __name__ == "__main__":
    main()
