"""Training data and held-out tasks: generated, verifiable Chinese and Japanese questions; a user's text; batches.

In: a ``DataConfig``, files of text; later, the files made from them and a tokenizer. Out: training rows, a frozen
validation set and held-out suites, documents to train on and held-out ones as files; batches of token ids as numpy
arrays. Never imports torch, nor any room but ``text``.
"""

from shosei.data.config import DataConfig, TextConfig, TokenizerConfig

__all__ = ["DataConfig", "TextConfig", "TokenizerConfig"]
