// Causal attention over blocks of keys and values, with a running softmax (Milakov and Gimelshein 2018, arXiv
// 1805.02867): both products of a block are those of a matrix in bfloat16. A row takes the blocks in their order and
// does the same for each, whoever its neighbours are: its result knows nothing of chunks or of other sequences.
#include "attention.h"
#include "tile.h"
#include "transpose.h"

typedef struct {
    Panels queries, shares;
    float *top, *total; // of each query: its largest score so far, and the sum of e^(score - top)
    float *sums;        // [tile][unit of head_dim][TILE][UNIT]: of the values, weighed
    char *keys, *values;
} Scratch;

static int64_t query_rows(const Model *m) {
    int64_t group = m->n_heads / m->n_kv_heads, most = group > SPAN_QUERIES ? group : SPAN_QUERIES;
    return (most + TILE - 1) / TILE * TILE;
}

int64_t attention_bytes(const Model *m) {
    int64_t rows = query_rows(m), dim = m->head_dim;
    int64_t panels = rows * panel_row_bytes(dim) + TILE * panel_row_bytes(UNIT);
    return panels + rows * (dim + 2) * 4 + 2 * BLOCK_TOKENS * dim * 2;
}

static Scratch lay_out(const Model *m, char *memory) {
    int64_t rows = query_rows(m), dim = m->head_dim;
    Scratch s = {.queries = panels_over(memory, rows, dim, BF16)};
    memory += rows * panel_row_bytes(dim);
    s.shares = panels_over(memory, TILE, UNIT, BF16);
    s.sums = (float *)(memory + TILE * panel_row_bytes(UNIT));
    s.top = s.sums + rows * dim;
    s.total = s.top + rows;
    s.keys = (char *)(s.total + rows);
    s.values = s.keys + BLOCK_TOKENS * dim * 2;
    return s;
}

// Keys [token][head_dim] as a matrix of one output a token.
static void pack_keys(const uint16_t *keys, int64_t dim, char *to) {
    for (int64_t token = 0; token < BLOCK_TOKENS; token += LANES)
        for (int64_t pair = 0; pair < dim / 2; pair += LANES)
            transpose((const int32_t *)keys + token * (dim / 2) + pair, dim / 2,
                      (int32_t *)to + pair * UNIT + token, UNIT);
}

// Values [token][head_dim] as a matrix of one input a token; those beyond `count` are 0, whatever is there.
static void pack_values(const uint16_t *values, int64_t count, int64_t dim, char *to) {
    static const uint16_t nothing[LANES];
    for (int64_t unit = 0; unit < dim; unit += UNIT)
        for (int64_t token = 0; token < BLOCK_TOKENS; token += 2)
            for (int64_t i = unit; i < unit + UNIT; i += LANES, to += LANES * 4) {
                const uint16_t *first = token < count ? values + token * dim + i : nothing;
                const uint16_t *second = token + 1 < count ? values + (token + 1) * dim + i : nothing;
                words pair = __builtin_convertvector(*(const halves *)first, words);
                *(words *)to = pair | __builtin_convertvector(*(const halves *)second, words) << 16;
            }
}

static void take_queries(const Attention *a, const Span *span, int64_t kv_head, const Scratch *s) {
    const Model *m = a->model;
    int64_t dim = m->head_dim, group = m->n_heads / m->n_kv_heads, width = (m->n_heads + 2 * m->n_kv_heads) * dim;
    float scale = 1 / sqrtf(dim), scaled[UNIT];
    for (int64_t i = 0; i < span->count; i++)
        for (int64_t g = 0; g < group; g++) {
            const float *query = a->qkv + span->rows[i] * width + (kv_head * group + g) * dim;
            for (int64_t at = 0; at < dim; at += UNIT) {
                for (int n = 0; n < UNIT; n += LANES) store(scaled + n, load(query + at + n) * scale);
                put(&s->queries, i * group + g, at, scaled);
            }
        }
}

// Take the scores of one block in: they become shares of e^(score - top), and all sums those of the new top.
static void weigh(const Scratch *s, int64_t query, float *scores, int64_t visible, float *sums, int64_t dim) {
    for (int64_t i = visible > 0 ? visible : 0; i < BLOCK_TOKENS; i++) scores[i] = -INFINITY;
    floats most = load(scores), added = {0};
    for (int i = LANES; i < UNIT; i += LANES) most = larger(load(scores + i), most);
    float before = s->top[query], top = largest(most);
    top = before > top ? before : top;
    for (int i = 0; i < UNIT; i += LANES) {
        floats share = exponential(load(scores + i) - top);
        store(scores + i, share);
        added += share;
    }
    floats kept = exponential(all(before - top));
    s->top[query] = top;
    s->total[query] = s->total[query] * kept[0] + sum(added);
    if (kept[0] != 1)
        for (int64_t unit = 0; unit < dim / UNIT; unit++)
            for (int i = 0; i < UNIT; i += LANES) {
                float *at = sums + unit * TILE * UNIT + i;
                store(at, load(at) * kept);
            }
}

// One block, for up to TILE queries from `first` on.
static void attend_block(const Attention *a, const Span *span, const Scratch *s, int64_t block, int64_t first,
                         int count) {
    int64_t dim = a->model->head_dim, group = a->model->n_heads / a->model->n_kv_heads;
    const Matrix keys = {BF16, BLOCK_TOKENS, dim, s->keys, NULL, NULL};
    const Matrix values = {BF16, dim, BLOCK_TOKENS, s->values, NULL, NULL};
    float scores[TILE][UNIT] = {{0}}, *sums = s->sums + first * dim;
    tile(&keys, 0, &s->queries, first, count, s->keys, scores[0]);
    for (int r = 0; r < count; r++) {
        int64_t position = a->batch->positions[span->rows[(first + r) / group]];
        weigh(s, first + r, scores[r], position + 1 - block * BLOCK_TOKENS, sums + r * UNIT, dim);
        put(&s->shares, r, 0, scores[r]);
    }
    for (int64_t unit = 0; unit < dim / UNIT; unit++)
        tile(&values, unit, &s->shares, 0, count, s->values, sums + unit * TILE * UNIT);
}

static void write_result(const Attention *a, const Span *span, int64_t kv_head, const Scratch *s) {
    int64_t dim = a->model->head_dim, group = a->model->n_heads / a->model->n_kv_heads;
    float result[UNIT];
    for (int64_t query = 0; query < span->count * group; query++) {
        int64_t slot = a->slots[span->rows[query / group]], input = (kv_head * group + query % group) * dim;
        const float *sums = s->sums + query / TILE * TILE * dim + query % TILE * UNIT;
        for (int64_t unit = 0; unit < dim / UNIT; unit++) {
            const float *from = sums + unit * TILE * UNIT;
            for (int i = 0; i < UNIT; i += LANES) store(result + i, load(from + i) / s->total[query]);
            put(a->out, slot, input + unit * UNIT, result);
        }
    }
}

void attend(const Attention *a, const Span *span, int64_t kv_head, char *memory) {
    const Model *m = a->model;
    const Scratch s = lay_out(m, memory);
    int64_t dim = m->head_dim, rows = span->count * (m->n_heads / m->n_kv_heads);
    int64_t end = a->batch->positions[span->rows[span->count - 1]] + 1; // of what the last row sees
    const int32_t *table = a->batch->tables + span->sequence * a->batch->table_width;
    const int64_t base = a->layer * a->cache->layer_stride + kv_head * a->cache->head_stride;
    take_queries(a, span, kv_head, &s);
    memset(s.sums, 0, (rows + TILE - 1) / TILE * TILE * dim * sizeof *s.sums);
    for (int64_t i = 0; i < rows; i++) s.top[i] = -INFINITY, s.total[i] = 0;
    for (int64_t block = 0; block * BLOCK_TOKENS < end; block++) {
        int64_t at = base + table[block] * a->cache->block_stride, left = end - block * BLOCK_TOKENS;
        pack_keys(a->cache->k + at, dim, s.keys);
        pack_values(a->cache->v + at, left, dim, s.values);
        for (int64_t row = 0; row < rows; row += TILE)
            attend_block(a, span, &s, block, row, rows - row < TILE ? rows - row : TILE);
    }
    write_result(a, span, kv_head, &s);
}
