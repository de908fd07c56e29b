"""One trainer for every preset: batches in, checkpoints and a model folder out.

In: a run's examples, tokenizer and frozen validation set, and how to answer (injected). Out: ``step``, ``epoch``,
``section`` and raw ``score`` events, checkpoint folders, and ``model/`` as a stock Hugging Face folder. It grades
nothing, and never imports the engine or the measure wing.
"""

from shosei.train.config import TrainConfig

__all__ = ["TrainConfig"]
