"""Tokenizers with chat formats of others: the least template that shows each format of tool calls."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import AddedToken
from tokenizers import Tokenizer as Raw

from shosei.text import Tokenizer

_TURN = "{{ '<s>' }}{% for m in messages %}"
_END = "{% endfor %}{% if add_generation_prompt %}{{ '<|role|>assistant\n' }}{% endif %}"

# ``{"name", "arguments"}`` in tags, tools as a list of JSON before all turns; Hermes' and Qwen's.
HERMES = (
    "{{ '<s>' }}{% if tools %}{{ '<|role|>system\n<tools>' }}"
    "{% for tool in tools %}{{ '\n' + tool | tojson }}{% endfor %}"
    "{{ '\n</tools><|end|>\n' }}{% endif %}{% for m in messages %}"
    "{% if m.role == 'tool' %}{{ '<|role|>user\n<tool_response>\n' + m.content + '\n</tool_response><|end|>\n' }}"
    "{% else %}{{ '<|role|>' + m.role + '\n' + m.content }}"
    "{% for call in m.tool_calls %}{{ '\n' if m.content or not loop.first }}"
    """{{ '<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}"""
    "{{ call.function.arguments | tojson }}{{ '}\n</tool_call>' }}{% endfor %}{{ '<|end|>\n' }}{% endif %}"
) + _END
# Bare JSON of ``{"name", "parameters"}``, one call a turn, which the key ``tool_calls`` announces; Llama 3's.
LLAMA = (
    "{{ '<s>' }}{% if tools is not none %}{{ '<|role|>system\n' }}{% for tool in tools %}{{ tool | tojson(indent=4) }}"
    "{% endfor %}{{ '<|end|>\n' }}{% endif %}{% for m in messages %}"
    "{% if 'tool_calls' in m %}"
    "{% if m.tool_calls | length != 1 %}{{ raise_exception('one call a turn') }}{% endif %}"
    """{{ '<|role|>assistant\n{"name": "' + m.tool_calls[0].function.name + '", "parameters": ' }}"""
    "{{ m.tool_calls[0].function.arguments | tojson }}{{ '}<|end|>\n' }}"
    "{% else %}{{ '<|role|>' + m.role + '\n' + m.content + '<|end|>\n' }}{% endif %}"
) + _END
# No tools at all: InternLM2's released templates, whose tokens know them.
PLAIN = _TURN + "{{ '<|role|>' + m.role + '\n' + m.content + '<|end|>\n' }}" + _END
# Thoughts of the last answer go back in, and a switch closes them before they begin; Qwen3's.
THINKING = HERMES.replace(
    "{{ '<|role|>' + m.role + '\n' + m.content }}",
    "{{ '<|role|>' + m.role + '\n' }}{% if m.reasoning_content is string %}"
    "{{ '<think>\n' + m.reasoning_content.strip('\n') + '\n</think>\n\n' }}{% endif %}{{ m.content }}",
).replace(
    "assistant\n' }}{% endif %}",
    "assistant\n' }}{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}",
)
# The prompt begins the thought; DeepSeek R1's.
OPENED = PLAIN.replace("assistant\n'", "assistant\n<think>\n'")
# A format that is known nowhere.
XML = HERMES.replace('{"name": "', "<function=").replace('", "arguments": ', ">")

TEXTS = [
    "今天天气怎么样？東京の天気は？user assistant\n",
    '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>',
]


def make_chat(
    folder: Path, template: str, tokens: tuple[str, ...] = (), internlm: bool = False, rows: int = 360
) -> Path:
    """A folder's tokenizer: ``template``, its special tokens, and ``tokens`` that are not special ones.

    Without ``internlm`` it lacks the tokens of our own chat format.
    """
    raw = Raw.from_str(Tokenizer.train(TEXTS, rows).files()["tokenizer.json"])
    value = json.loads(raw.to_str())
    if not internlm:
        for number, token in enumerate(value["added_tokens"]):
            token["content"] = f"<|unused_{number}|>"
    raw = Raw.from_str(json.dumps(value))
    raw.add_special_tokens([AddedToken(name, special=True) for name in ("<s>", "<|role|>", "<|end|>")])
    raw.add_tokens([AddedToken(name, special=False, normalized=False) for name in tokens])
    folder.mkdir(parents=True, exist_ok=True)
    raw.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "<|end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text(template)
    return folder


TAGS = ("<tool_call>", "</tool_call>")
CHATS = {
    "Hermes, tags are tokens": {"template": HERMES, "tokens": TAGS},
    "Hermes, tags are text": {"template": HERMES},
    "Llama": {"template": LLAMA},
    "InternLM, template without tools": {"template": PLAIN, "internlm": True},
    "template without tools": {"template": PLAIN},
}
