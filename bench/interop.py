"""One model in other people's tools: ``python bench/interop.py MODEL [--llama PYTHON] [--vllm PYTHON]``.

PYTHON is an interpreter that has llama-cpp-python, or vllm. Prints, for each that is given: probes whose token ids are
ours (``tokenizer.json``, and the GGUF file's vocabulary in llama.cpp), single tokens whose bytes are ours, tokens that
together are not UTF-8 and are decoded as ours are, and greedy answers in float32 whose tokens are ours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from shosei.engine.engine import answer_greedily
from shosei.model import folder, gguf_file
from shosei.text import ChatFormat, Tokenizer, load_chat

PROBES = [
    "今天天气怎么样？我们去公园散步吧。",
    "吾輩は猫である。名前はまだ無い。ｶﾀｶﾅ",
    "The quick brown fox can't jump over 12345.678 dogs.",
    "🎉👨‍👩‍👧‍👦🇯🇵 emoji 👍🏽",
    "def f(x):\n\treturn {'a': x ** 2}  # 注释\r\n\n\n    end",
    "<|im_start|>user\n你好<|im_end|>\n<|im_start|>assistant\n",
    'a <|plugin|> b<|action_start|>{"name": "x"}<|action_end|>',
    "  leading,  double   and trailing space  ",
    "\u3000全角\u3000スペース\u00a0nbsp\u200bzero",
    "e\u0301 が か\u3099 \ufeff",
    b"\xff\xfe\xe4\xbd broken \x80".decode("utf-8", "replace"),
    "",
]
# What a model may write token by token without ever finishing a character; a token a byte.
BROKEN = [
    b"\xff\xfe\xe4\xbd broken \x80",
    "今天".encode()[:4],
    "今天".encode()[2:] + "🎉".encode()[:3] + b"ok",
    b"\xed\xa0\x80",  # a surrogate
    b"\xc0\xaf\xf5\x80\x80\x80",  # overlong, and beyond the last character
    bytes(range(256)),
]
QUESTIONS = [
    "你好！",
    "3 + 4 等于多少？",
    "12を漢数字で書いてください。",
    "カタカナで書いてください：さくら",
    "hello",
    "一" * 40,
]
NEW = 48

LLAMA = """
import json, sys
from llama_cpp import Llama, llama_model_get_vocab, llama_token_to_piece
import ctypes
ask = json.load(sys.stdin)
model = Llama(ask["gguf"], n_ctx=512, n_threads=1, verbose=False)
vocabulary, buffer = llama_model_get_vocab(model.model), ctypes.create_string_buffer(1024)
def piece(token):  # model.detokenize has room for 32 bytes only
    length = llama_token_to_piece(vocabulary, token, buffer, len(buffer), 0, False)
    return buffer.raw[:length].hex()
def answer(prompt):
    made = []
    for token in model.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0):
        if token == ask["end"] or len(made) == ask["new"]:
            return made
        made.append(token)
print("RESULT" + json.dumps({
    "plain": [model.tokenize(text.encode(), add_bos=False, special=False) for text in ask["probes"]],
    "special": [model.tokenize(text.encode(), add_bos=False, special=True) for text in ask["probes"]],
    "bytes": [piece(token) for token in range(ask["rows"])],
    "broken": ["".join(map(piece, ids)) for ids in ask["broken"]],
    "answers": [answer(prompt) for prompt in ask["prompts"]],
}))
"""
VLLM = """
import json, sys
from vllm import LLM, SamplingParams
ask = json.load(sys.stdin)
def main():
    model = LLM(ask["folder"], dtype="float32", enforce_eager=True, max_model_len=512, max_num_seqs=8)
    tokenizer = model.get_tokenizer()
    sampling = SamplingParams(temperature=0, max_tokens=ask["new"], stop_token_ids=[ask["end"]])
    made = model.generate([{"prompt_token_ids": prompt} for prompt in ask["prompts"]], sampling)
    answers = [[token for token in one.outputs[0].token_ids if token != ask["end"]] for one in made]
    special = [tokenizer.encode(text, add_special_tokens=False) for text in ask["probes"]]
    texts = [tokenizer.decode(ids) for ids in ask["broken"]]
    print("RESULT" + json.dumps({"special": special, "texts": texts, "answers": answers}))
if __name__ == "__main__":
    main()
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("model", type=Path)
    options.add_argument("--llama", help="Interpreter with llama-cpp-python.")
    options.add_argument("--vllm", help="Interpreter with vllm.")
    given = options.parse_args()
    chat = load_chat(given.model)
    tokenizer = chat.tokenizer
    with tempfile.TemporaryDirectory() as scratch:
        gguf_file.write(given.model, Path(scratch) / "model.gguf", "f32")
        ours = _ours(given.model, chat)
        ask = {
            "folder": str(given.model),
            "gguf": f"{scratch}/model.gguf",
            "probes": PROBES,
            "broken": _broken(tokenizer),
            "prompts": _prompts(chat),
            "new": NEW,
            "end": tokenizer.end_id,
            "rows": tokenizer.vocab_size,
        }
        for name, interpreter, program in (("llama.cpp", given.llama, LLAMA), ("vllm", given.vllm, VLLM)):
            if interpreter:
                _report(name, ours, _theirs(interpreter, program, ask))


def _prompts(chat: ChatFormat) -> list[list[int]]:
    return [chat.render([{"role": "user", "content": question}]) for question in QUESTIONS]


def _broken(tokenizer: Tokenizer) -> list[list[int]]:
    tokens = {tokenizer.token_bytes(token): token for token in range(tokenizer.vocab_size)}
    return [[tokens[bytes([byte])] for byte in raw] for raw in BROKEN]


def _ours(path: Path, chat: ChatFormat) -> dict[str, list[Any]]:
    model, spec = folder.load(path)
    tokenizer, prompts = chat.tokenizer, _prompts(chat)
    answers = answer_greedily(model, spec, prompts, [NEW] * len(prompts), [tokenizer.end_id])
    return {
        "plain": [tokenizer.encode(text) for text in PROBES],
        "special": [tokenizer.encode(text, allow_special=True) for text in PROBES],
        "bytes": [tokenizer.token_bytes(token).hex() for token in range(tokenizer.vocab_size)],
        "broken": [raw.hex() for raw in BROKEN],
        "texts": [tokenizer.decode(ids) for ids in _broken(tokenizer)],
        "answers": [[token for token in answer if token != tokenizer.end_id] for answer in answers],
    }


def _theirs(interpreter: str, program: str, ask: dict[str, Any]) -> dict[str, list[Any]]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"VLLM_TARGET_DEVICE": "cpu", "HF_HUB_OFFLINE": "1"}
    environment |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "ask.py"
        file.write_text(program)
        done = subprocess.run(
            [interpreter, str(file)], input=json.dumps(ask), env=environment, capture_output=True, text=True
        )
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            return dict(json.loads(line.removeprefix("RESULT")))
    raise SystemExit(f"{interpreter} ended with exit code {done.returncode}: {done.stderr[-3000:]}")


def _report(name: str, ours: dict[str, list[Any]], theirs: dict[str, list[Any]]) -> None:
    for part, values in theirs.items():
        equal = [mine == other for mine, other in zip(ours[part], values, strict=True)]
        print(f"{name:10} {part:8} {sum(equal):6} of {len(equal):6} equal")
        for index in [place for place, same in enumerate(equal) if not same][:5]:
            print(f"    {index}: ours {ours[part][index]}, theirs {values[index]}")


if __name__ == "__main__":
    main()
