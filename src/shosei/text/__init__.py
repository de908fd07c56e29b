"""Between text and token ids: a byte-level BPE tokenizer, the chat format, and streaming decoders.

In: text to learn from, messages, tools, ids. Out: ids, text, tool calls, and the tokenizer files of a stock
Hugging Face folder.
Never imports torch or transformers.
"""

from shosei.text.calls import AnswerReader, CallPiece, Piece
from shosei.text.special import SPECIAL_TOKENS
from shosei.text.stream import StreamDecoder
from shosei.text.tokenizer import Tokenizer, TokenizerConfig

__all__ = ["SPECIAL_TOKENS", "AnswerReader", "CallPiece", "Piece", "StreamDecoder", "Tokenizer", "TokenizerConfig"]
