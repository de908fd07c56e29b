"""The transformer and its Hugging Face folder.

In: a ``ModelSpec`` and weights. Out: a torch module (ids to hidden states, hidden states to logits), or a folder that
transformers, vLLM and SGLang load as a stock Llama. Knows nothing of training, batching or how a cache is kept, and
imports only the floor. ``hf_config`` reads a folder's shape without torch.
"""
