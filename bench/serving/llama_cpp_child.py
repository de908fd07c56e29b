"""llama.cpp in a process of its own: ``PYTHON llama_cpp_child.py FILE.gguf THREADS STREAMS CONTEXT``.

A line of standard input is ``{"prompts": [[id, …], …], "new": n}``; the answer is a line of when each step's tokens
were chosen, greedily: ``{"sent": s, "times": [s, …]}``, monotonic seconds. Knows nothing of Shosei.
"""

import ctypes
import json
import sys
import time

import numpy as np

import llama_cpp


class Decoder:
    def __init__(self, file: str, threads: int, streams: int, context: int) -> None:
        llama_cpp.llama_log_set(_QUIET, None)
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(file.encode(), llama_cpp.llama_model_default_params())
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max, settings.kv_unified = streams * context, streams, True
        settings.n_batch, settings.n_ubatch = streams * context, 512
        settings.n_threads = settings.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        self.rows = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(streams * context, 0, 1)

    def answer(self, prompts: list[list[int]], new: int) -> dict[str, object]:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        sent = time.monotonic()
        tokens = self._step([(row, 0, prompt) for row, prompt in enumerate(prompts)])
        times = [time.monotonic()]
        while len(times) < new:
            ahead = len(times) - 1
            tokens = self._step([(row, len(prompts[row]) + ahead, [token]) for row, token in enumerate(tokens)])
            times.append(time.monotonic())
        return {"sent": sent, "times": times}

    def _step(self, sequences: list[tuple[int, int, list[int]]]) -> list[int]:
        """The next token of each sequence: of its number, the position of its first new token, its new tokens."""
        batch, place, last = self.batch, 0, []
        for number, position, tokens in sequences:
            for offset, token in enumerate(tokens):
                batch.token[place], batch.pos[place] = token, position + offset
                batch.n_seq_id[place], batch.seq_id[place][0] = 1, number
                batch.logits[place] = offset == len(tokens) - 1
                place += 1
            last.append(place - 1)
        batch.n_tokens = place
        if llama_cpp.llama_decode(self.context, batch):
            sys.exit("llama_decode failed")
        return [int(self._logits(row).argmax()) for row in last]

    def _logits(self, row: int) -> np.ndarray:
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.context, row), (self.rows,))


@llama_cpp.llama_log_callback
def _QUIET(_level: int, _text: bytes, _data: ctypes.c_void_p) -> None:
    pass


if __name__ == "__main__":
    decoder = Decoder(sys.argv[1], *map(int, sys.argv[2:]))
    for line in sys.stdin:
        ask = json.loads(line)
        print(json.dumps(decoder.answer(ask["prompts"], ask["new"])), flush=True)
