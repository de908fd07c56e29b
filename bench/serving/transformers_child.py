"""transformers' ``generate`` in a process of its own: ``PYTHON transformers_child.py FOLDER THREADS``.

Lines in and out as ``llama_cpp_child.py`` has them. Knows nothing of Shosei.
"""

import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM


class Decoder:
    def __init__(self, folder: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        self.model.generation_config.eos_token_id = None

    def answer(self, prompts: list[list[int]], new: int) -> dict[str, object]:
        times: list[float] = []

        def note(_ids: torch.Tensor, _scores: torch.Tensor, **_: object) -> torch.Tensor:
            times.append(time.monotonic())
            return torch.zeros(len(prompts), dtype=torch.bool)

        ids = torch.tensor(prompts)
        options = {"do_sample": False, "pad_token_id": 0, "max_new_tokens": new, "stopping_criteria": [note]}
        sent = time.monotonic()
        self.model.generate(ids, attention_mask=torch.ones_like(ids), **options)
        return {"sent": sent, "times": times}


if __name__ == "__main__":
    decoder = Decoder(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        ask = json.loads(line)
        print(json.dumps(decoder.answer(ask["prompts"], ask["new"])), flush=True)
