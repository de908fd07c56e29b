"""What 4 bits cost a trained model: ``python bench/quantize.py MODEL_FOLDER TEXT_OR_ROWS [ROWS]``.

TEXT_OR_ROWS is text that the model was not trained on, or a suite or dialogues (JSON Lines, or a folder of suites): of
those only the answers count. At most ROWS of them (256 unless given), each no longer than the context, or 512 tokens.

Every way of rounding is compared with the bfloat16 weights, both computed in float32: perplexity, the divergence of the
next token's distribution (KL, nats), how often the likeliest token is the same, and by how much logits differ. The two
lines "as served" are what the engine computes, in bfloat16.
"""

from __future__ import annotations

import copy
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.nn import functional as F

from shosei.model import folder
from shosei.model.int4 import dequantize, quantize
from shosei.model.linear import Linear
from shosei.model.transformer import Transformer
from shosei.spec.generation import INT4_GROUP, WeightFormat
from shosei.text import ChatFormat, load_chat

WINDOW = 512
Row = tuple[list[int], list[bool]]  # token ids, and which of them count


@torch.no_grad()
def main() -> None:
    source, text = Path(sys.argv[1]), Path(sys.argv[2])
    reference = as_stored(source).float()
    spec = reference.spec
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else 256
    rows = list(read_rows(text, load_chat(source), min(spec.context_length, WINDOW)))[:limit]
    print(f"{spec.name}: {spec.params:,} parameters, {sum(sum(counts) for _, counts in rows):,} tokens count")
    print(f"{'':26} {'bits':>5} {'weights MB':>10} {'perplexity':>10} {'KL':>8} {'same':>6} {'|d| mean':>8} {'max':>6}")
    for name, make in variants(source, reference):
        bits, size, model = make()
        show(name, bits, size, compare(reference, model, rows))


def variants(
    source: Path, reference: Transformer
) -> Iterator[tuple[str, Callable[[], tuple[float, float, Transformer]]]]:
    """Name of each, and what makes it: bits a weight, bytes of all the matrices, the model."""

    def rounded(group: int, refits: int, head: bool) -> tuple[float, float, Transformer]:
        model = copy.deepcopy(reference)
        if head:
            model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())  # not the input table's
        bits = values = 0
        for module in model.modules():
            if isinstance(module, Linear):
                fits = module.weight.shape[1] % group == 0 and (head or module is not model.lm_head)
                if fits:
                    module.weight.copy_(dequantize(*quantize(module.weight, group, refits)))
                bits += module.weight.numel() * (4 + 32 / group if fits else 16)
                values += module.weight.numel()
        return bits / values, bits / 8, model

    def served(weights: WeightFormat) -> tuple[float, float, Transformer]:
        bits = 16 if weights is WeightFormat.STORED else 4 + 32 / INT4_GROUP
        model, spec = folder.load(source, torch.bfloat16, weights)
        model.pack()
        return bits, bits / 8 * spec.matmul_params, model

    yield "bf16", lambda: (16, 2 * reference.spec.matmul_params, reference)
    for group in (32, 64, 128):
        for refits in (0, 1, 2, 4):
            yield f"int4 of {group}, refits {refits}", lambda g=group, r=refits: rounded(g, r, True)
    yield f"int4 of {INT4_GROUP}, head bf16", lambda: rounded(INT4_GROUP, 2, False)
    yield "bf16 as served", lambda: served(WeightFormat.STORED)
    yield "int4 as served", lambda: served(WeightFormat.INT4)


def as_stored(source: Path) -> Transformer:
    return folder.load(source, torch.bfloat16)[0]


def read_rows(path: Path, chat: ChatFormat, window: int) -> Iterator[Row]:
    """Conversations with their answers, or pieces of the text."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if files[0].suffix != ".jsonl":
        ids = chat.tokenizer.encode(path.read_text())
        for start in range(0, len(ids) - 1, window):
            yield ids[start : start + window], [True] * len(ids[start : start + window])
        return
    by_file = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    for place in range(max(map(len, by_file))):  # some of each suite, however few are taken
        for row in (lines[place] for lines in by_file if place < len(lines)):
            messages = row["messages"]
            if "truth" in row:
                messages = [*messages, {"role": "assistant", "content": row["truth"]}]
            ids, counts = chat.training_example(messages, row.get("tools", []))
            yield ids[:window], counts[:window]


def compare(reference: Transformer, model: Transformer, rows: list[Row]) -> list[float]:
    """Perplexity; mean KL of the two distributions; share of equal argmax; mean and greatest difference of a logit."""
    tokens = loss = divergence = same = difference = greatest = 0.0
    for ids, counts in rows:
        chosen = torch.tensor(counts[1:]).nonzero().squeeze(1)
        batch, targets = torch.tensor([ids[:-1]]), torch.tensor(ids[1:])[chosen]
        theirs, ours = (one.logits(one(batch)[0, chosen]).float() for one in (reference, model))
        p, q = theirs.log_softmax(-1), ours.log_softmax(-1)
        tokens += len(targets)
        loss += F.nll_loss(q, targets, reduction="sum").item()
        divergence += F.kl_div(q, p, reduction="sum", log_target=True).item()
        same += (theirs.argmax(-1) == ours.argmax(-1)).sum().item()
        difference += (ours - theirs).abs().mean(-1).sum().item()
        greatest = max(greatest, (ours - theirs).abs().max().item())
    return [math.exp(loss / tokens), divergence / tokens, same / tokens, difference / tokens, greatest]


def show(name: str, bits: float, size: float, found: list[float]) -> None:
    perplexity, divergence, same, difference, greatest = found
    print(
        f"{name:26} {bits:5.2f} {size / 1e6:10.2f} {perplexity:10.4f} {divergence:8.5f} {same:6.3f} {difference:8.4f} "
        f"{greatest:6.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
