// What a step is going to do, and the memory it does it in.
#pragma once
#include "attention.h"
#include "meeting.h"

typedef struct {
    const Span *spans;
    int64_t count;
} Spans;

typedef struct {
    const Model *model;
    const Batch *batch;
    const Cache *cache;
    float *logits;           // (wanted_rows, vocabulary)
    float *residual, *kept;  // (rows, width), (wanted_rows, width): the stream; its wanted rows, in the last layer
    float *qkv;              // (rows, heads * head_dim)
    float *cosines, *sines;  // (rows, head_dim / 2)
    char *inputs, *middle;   // panels: of normed rows; of what attention or SwiGLU gives to the next product
    int32_t *sequences;      // of each row
    int32_t *rows, *slots;   // every row, each in its own slot
    int32_t *last_rows, *last_slots; // the wanted rows, and the slot of each row that is wanted
    Spans all, last;
    Meeting *meeting;
    atomic_llong *taken; // for each phase whose work threads share: how much of it is taken
    char *scratch;       // of each thread, for attention
    int64_t scratch_bytes;
} Step;

// Lay out a step in `memory`, all of it if that is NULL; returns its bytes. The batch's numbers are read, not its rows.
int64_t lay_out_step(Step *s, const Model *m, const Batch *b, char *memory);

// Decide which rows attend together, and begin counting.
void group_rows(Step *s);
