"""Matrix products, attention and whole steps of a decoder in C, for x86-64 processors with AVX-512 or AVX2.

In: a model's weights, batches of rows, a paged cache. Out: logits. Optional in every respect: without a compiler, on
other processors and for shapes that it does not take, torch computes the same. ``native.h`` says what the C files do.
"""
