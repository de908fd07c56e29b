"""Continuous batching: token requests in, token streams out, over a local socket or in this process.

In: a model folder, prompts as token ids, and grammars that answers must keep. Out: tokens as they are made.
``protocol``, ``client`` and ``grammar`` import no torch, so that the HTTP front can do without it; ``server`` is the
process behind the socket. Knows no HTTP and no messages; only ``grammar`` reads a tokenizer, for the tokens' bytes.
"""
