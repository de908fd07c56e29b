"""Between text and token ids: a byte-level BPE tokenizer, the chat format, and streaming decoders.

In: text to learn from, messages, tools, ids. Out: ids, text, tool calls, and the tokenizer files of a stock
Hugging Face folder.
Never imports torch or transformers.
"""

from shosei.text.answer import AnswerReader, CallPiece, Piece
from shosei.text.chat import ChatFormat, ChatML, load_chat
from shosei.text.foreign import SPECIAL_TOKENS
from shosei.text.streaming import StreamDecoder
from shosei.text.thoughts import ThoughtPiece
from shosei.text.tokenizer import Tokenizer

__all__ = [
    "SPECIAL_TOKENS",
    "AnswerReader",
    "CallPiece",
    "ChatFormat",
    "ChatML",
    "Piece",
    "StreamDecoder",
    "ThoughtPiece",
    "Tokenizer",
    "load_chat",
]
