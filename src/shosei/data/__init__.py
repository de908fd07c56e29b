"""Training data and held-out tasks: generated, verifiable Chinese and Japanese questions; a user's text; batches.

In: a ``DataConfig``, files of text; later, the files made from them and a tokenizer. Out: training rows, a frozen
validation set and held-out suites, documents to train on and held-out ones as files; batches of token ids as numpy
arrays. Never imports torch, nor any room but ``text``.
"""

from shosei.data.batches import Batches, open_batches, training_files
from shosei.data.config import DataConfig, TextConfig
from shosei.data.dataset import Batch, DialogueBatches, load_examples
from shosei.data.generation import generate
from shosei.data.packing import Packed
from shosei.data.vocabulary import tokenizer_texts

__all__ = [
    "Batch",
    "Batches",
    "DataConfig",
    "DialogueBatches",
    "Packed",
    "TextConfig",
    "generate",
    "load_examples",
    "open_batches",
    "tokenizer_texts",
    "training_files",
]
