"""Training data and held-out tasks: generated, verifiable Chinese and Japanese questions; batches of token ids.

In: a ``DataConfig``; later, the files made from it and a tokenizer. Out: training rows, a frozen validation set and
held-out suites as files; batches as numpy arrays. Never imports torch, nor any room but ``text``.
"""

from shosei.data.config import DataConfig
from shosei.data.dataset import Batch, Batches, Examples, load_examples
from shosei.data.generation import generate
from shosei.data.vocabulary import tokenizer_texts

__all__ = ["Batch", "Batches", "DataConfig", "Examples", "generate", "load_examples", "tokenizer_texts"]
