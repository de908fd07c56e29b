#pragma once
#include "panels.h"

// Neighbouring rows of one sequence that attend together: `count` numbers from `rows`.
typedef struct {
    int64_t sequence, count;
    const int32_t *rows; // of the batch, in their order
} Span;

enum { SPAN_QUERIES = 96 }; // of the heads that share keys and values; a span has one row at least

typedef struct {
    const Model *model;
    const Batch *batch;
    const Cache *cache;
    int64_t layer;
    const float *qkv;     // (rows, heads * head_dim), queries rotated
    const int32_t *slots; // where the result of each row of the batch goes, as a row of `out`
    const Panels *out;
} Attention;

int64_t attention_bytes(const Model *m);

// The queries of one span that share one head of keys and values, over all that each of them may see.
void attend(const Attention *a, const Span *span, int64_t kv_head, char *memory);
