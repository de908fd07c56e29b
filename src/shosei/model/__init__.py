"""The transformer and its Hugging Face folder.

In: a ``ModelSpec`` and weights, or a folder or GGUF file of the Llama, Qwen or InternLM line. Out: a torch module (ids
to hidden states, hidden states to logits), a folder that transformers, vLLM and SGLang load as a stock model, or a GGUF
file. Knows nothing of training, batching or how a cache is kept. ``hf_config`` reads a folder's shape without torch.
"""
