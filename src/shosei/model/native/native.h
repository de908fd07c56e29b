// What a step works on. structs.py has the same structs for ctypes; native_sizes() lets library.py compare them.
#pragma once
#include <stdatomic.h>
#include <stdint.h>

enum { BLOCK_TOKENS = 32 }; // of a sequence whose keys and values lie together
enum { UNIT = 32 };         // outputs of a matrix that lie together, and inputs that share a scale
enum { BF16, INT8, INT4 };

// A matrix of `outputs` times `inputs`, the latter a multiple of UNIT, in units of 32 outputs:
//   BF16  [unit][input pair][32 outputs][2 inputs]
//   INT8  [unit][4 inputs][32 outputs][4 inputs], a byte is the code + 128; weight = scale of its output * code
//   INT4  [unit][32 inputs]{ [4][2][64 bytes]: 16 outputs' inputs 8i to 8i+3 low, 8i+4 to 8i+7 high;
//                            32 scales, 32 offsets in bfloat16 }; weight = offset + scale * (code - 8)
// Outputs beyond the last are there up to a whole unit, and count for nothing.
typedef struct {
    int64_t format, outputs, inputs;
    const char *units;
    const float *scales; // INT8: one for each output, to a whole unit
    const float *bias;   // or NULL
} Matrix;

typedef struct {
    const float *attention_norm, *feed_forward_norm; // d_model
    const float *query_norm, *key_norm;              // head_dim, or NULL
    Matrix qkv, output;                              // queries of all heads, then keys, then values
    Matrix gate_up, down;                            // 32 gates, 32 ups, by turns
} Layer;

// One pool of threads with the caller's OpenMP library: its own functions, or NULL for one thread.
typedef struct {
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned); // GOMP_parallel
    int (*number)(void), (*size)(void);                             // omp_get_thread_num, omp_get_num_threads
    int64_t threads;
} Pool;

typedef struct {
    int64_t width, n_layers, intermediate, n_heads, n_kv_heads, head_dim, vocabulary;
    float eps, rotation_magnitude;
    const float *frequencies; // head_dim / 2: radians a position
    const uint16_t *table;    // (vocabulary, width) bfloat16
    const float *final_norm;
    const Layer *layers;
    Matrix head;
    Pool pool;
} Model;

// Rows of several sequences: sequence s has rows starts[s] to starts[s + 1], at consecutive positions.
typedef struct {
    int64_t rows, sequences, wanted_rows, table_width;
    const int64_t *tokens, *positions, *starts, *wanted;
    const int32_t *tables; // (sequences, table_width): the blocks of each sequence, in order
} Batch;

// Keys and values in bfloat16; within [layer][block][kv head] a block is [BLOCK_TOKENS][head_dim].
typedef struct {
    uint16_t *k, *v;
    int64_t layer_stride, block_stride, head_stride; // in values
} Cache;

// Bytes that a step of this batch needs to work in; of the batch only the four numbers are read.
int64_t native_memory(const Model *model, const Batch *batch);

// Store the keys and values of all rows, then let each attend to its sequence up to itself; write the logits after the
// wanted rows, (wanted_rows, vocabulary). `memory` is aligned to 64 bytes and not used by two calls at once.
void native_step(const Model *model, const Batch *batch, const Cache *cache, char *memory, float *logits);

// Outputs that are whole units, (32 * units, inputs) in bfloat16, to units in INT4 that begin `stride` bytes apart.
void native_pack_int4(int64_t units, int64_t inputs, const uint16_t *weights, char *to, int64_t stride);

// The product alone, for tests and measurements: x (rows, inputs) to out (rows, outputs). `memory`: rows, to a whole
// number of 4, times inputs * 2 bytes.
void native_product(const Matrix *matrix, const Pool *pool, int64_t rows, const float *x, char *memory, float *out);

// sizeof Matrix, Layer, Model, Batch, Cache.
void native_sizes(int64_t *sizes);
