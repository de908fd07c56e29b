#pragma once
#include "panels.h"

typedef enum { STORE, ADD, SWIGLU } Use; // of the product: out = it, out += it, or next = silu(gates) * ups

typedef struct {
    const Matrix *matrix;
    const Panels *x;
    int64_t rows;
    Use use;
    float *out; // (rows, outputs)
    const Panels *next;
    atomic_llong *taken; // 0 before the first thread begins: how many chunks are taken
    int64_t threads;
} Product;

// Compute chunks of outputs as long as there are some; every thread calls it.
void multiply(const Product *p);
