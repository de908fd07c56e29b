"""Between text and token ids: a byte-level BPE tokenizer, the chat format, and a streaming decoder.

In: text to learn from, messages, ids. Out: ids, text, and the tokenizer files of a stock Hugging Face folder.
Never imports torch or transformers.
"""

from shosei.text.special import SPECIAL_TOKENS
from shosei.text.stream import StreamDecoder
from shosei.text.tokenizer import Tokenizer, TokenizerConfig

__all__ = ["SPECIAL_TOKENS", "StreamDecoder", "Tokenizer", "TokenizerConfig"]
