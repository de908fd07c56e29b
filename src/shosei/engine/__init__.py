"""Continuous batching: token requests in, token streams out, over a local socket or in this process.

In: a model folder, and prompts as token ids. Out: tokens as they are made. ``protocol`` and ``client`` import no
torch, so that the HTTP front can do without it; ``worker`` is the process behind the socket. Knows no text, no HTTP
and no tokenizer, and imports only ``model`` and the floor.
"""
