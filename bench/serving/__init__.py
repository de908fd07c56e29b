"""Our engine and other people's on the same weights, by turns: the parts of ``bench/serve.py``."""
