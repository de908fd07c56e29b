"""A real model beside transformers and llama.cpp: ``python bench/real_model.py --gguf FILE [--llama-cpp PYTHON]``.

FILE, quantised or not, is imported by ``shosei import``, and questions in English, Chinese and Japanese are answered
greedily in float32, one at a time: by our engine, by transformers, which dequantises FILE by itself (with accelerate),
and by llama.cpp (PYTHON has llama-cpp-python) from the f32 GGUF file that ``shosei export`` makes of the run.
Prints for each peer how many of our tokens it writes too, and the tokens a second of everybody, prompts included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from shosei.engine.engine import answer_greedily
from shosei.model import folder
from shosei.text import load_chat

QUESTIONS = [
    "What is the capital of Japan?",
    "Write a haiku about autumn.",
    "How do I reverse a list in Python?",
    "北京是哪个国家的首都？",
    "请介绍一下你自己。",
    "日本の首都はどこですか？",
    "自己紹介をしてください。",
]
NEW = 48

LLAMA_CPP = """
import json, sys, time
from llama_cpp import Llama
ask = json.load(sys.stdin)
model = Llama(ask["gguf"], n_ctx=1024, n_threads=ask["threads"], n_threads_batch=ask["threads"], verbose=False)
def answer(prompt):
    begun, tokens = time.perf_counter(), []
    for token in model.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0):
        if token in ask["ends"]:
            break
        tokens.append(token)
        if len(tokens) == ask["new"]:
            break
    return tokens, time.perf_counter() - begun
ids = [model.tokenize(text.encode(), add_bos=False, special=True) for text in ask["texts"]]
print(json.dumps({"ids": ids, "answers": [answer(prompt) for prompt in ask["prompts"]]}))
"""


@dataclass(frozen=True)
class Answers:
    """What one engine wrote to each prompt, without the end token, and the seconds that each answer took."""

    name: str
    tokens: list[list[int]]
    seconds: list[float]

    @property
    def rate(self) -> float:
        return sum(map(len, self.tokens)) / sum(self.seconds)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--gguf", type=Path, required=True)
    options.add_argument("--llama-cpp", help="Interpreter with llama-cpp-python.")
    options.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        shosei("import", str(given.gguf), "--out", str(run))
        chat = load_chat(run / "model")
        prompts = [chat.render([{"role": "user", "content": question}]) for question in QUESTIONS]
        ours = timed("shosei", prompts, our_engine(run / "model", chat.tokenizer.end_ids))
        everybody = [ours, timed("transformers", prompts, transformers_on(given.gguf, chat.tokenizer.end_ids))]
        if given.llama_cpp:
            everybody.append(llama_cpp(given.llama_cpp, run, prompts, given.threads))
        report(everybody, chat.tokenizer.decode)


def shosei(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "shosei", *words], check=True)


def timed(name: str, prompts: Sequence[list[int]], answer: Callable[[list[int]], list[int]]) -> Answers:
    answer(prompts[0])  # warm
    tokens, seconds = [], []
    for prompt in prompts:
        begun = time.perf_counter()
        tokens.append(answer(prompt))
        seconds.append(time.perf_counter() - begun)
    return Answers(name, tokens, seconds)


def our_engine(path: Path, ends: list[int]) -> Callable[[list[int]], list[int]]:
    model, spec = folder.load(path)
    model.pack()
    return lambda prompt: answer_greedily(model, spec, [prompt], [NEW], ends)[0]


def transformers_on(gguf: Path, ends: list[int]) -> Callable[[list[int]], list[int]]:
    model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32).eval()

    @torch.inference_mode()
    def answer(prompt: list[int]) -> list[int]:
        ids = torch.tensor([prompt])
        made = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW, eos_token_id=ends
        )
        return [token for token in made[0, len(prompt) :].tolist() if token not in ends]

    return answer


def llama_cpp(interpreter: str, run: Path, prompts: Sequence[list[int]], threads: int) -> Answers:
    """Its answers from our f32 export; prints whether it tokenises as the run does."""
    gguf = run / "f32.gguf"
    shosei("export", str(run), str(gguf), "--type", "f32")
    chat = load_chat(run / "model")
    texts = [f"<|im_start|>user\n{question}  12345 it's\n" for question in QUESTIONS]
    ask = {"gguf": str(gguf), "threads": threads, "new": NEW, "ends": chat.tokenizer.end_ids}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [interpreter, "-c", LLAMA_CPP],
        input=json.dumps(ask | {"prompts": prompts, "texts": texts}),
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    pairs = zip(told["ids"], texts, strict=True)
    same = sum(ids == chat.tokenizer.encode(text, allow_special=True) for ids, text in pairs)
    print(f"llama.cpp tokenises {same} of {len(texts)} texts as we do")
    tokens, seconds = zip(*told["answers"], strict=True)
    return Answers("llama.cpp", [*tokens], [*seconds])


def report(everybody: Sequence[Answers], decode: Callable[[list[int]], str]) -> None:
    ours = everybody[0]
    print(f"shosei        {ours.rate:6.1f} tokens/s, {sum(map(len, ours.tokens))} tokens")
    for theirs in everybody[1:]:
        pairs = [*zip(ours.tokens, theirs.tokens, strict=True)]
        same = sum(mine == other for mine, other in pairs)
        print(f"{theirs.name:13} {theirs.rate:6.1f} tokens/s, {same} of {len(pairs)} answers equal to ours")
        for question, (mine, other) in zip(QUESTIONS, pairs, strict=True):
            if mine != other:
                print(f"    {question}\n      ours   {decode(mine)!r}\n      theirs {decode(other)!r}")


if __name__ == "__main__":
    main()
