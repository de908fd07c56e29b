// A whole step of a decoder in one call: every row of the batch through every layer, by threads that meet between the
// phases.
#include "step.h"
#include "product.h"

typedef struct {
    int64_t number, threads, first_free; // first_free: of the counters, the same for every thread
} Thread;

static Thread this_thread(const Pool *pool) {
    return pool->parallel ? (Thread){pool->number(), pool->size(), 0} : (Thread){0, 1, 0};
}

// Whole panels, so that no two threads write to the same cache line.
#define EACH_OWN(row, rows, t) \
    for (int64_t row = share(rows, t, 0), end_ = share(rows, t, 1); row < end_; row++)

static int64_t share(int64_t rows, const Thread *t, int64_t next) {
    int64_t panels = (rows + PANEL - 1) / PANEL, begin = panels * (t->number + next) / t->threads * PANEL;
    return begin < rows ? begin : rows;
}

static float scale_of(const float *x, int64_t width, float eps) {
    floats squares = {0};
    for (int64_t i = 0; i < width; i += LANES) squares += load(x + i) * load(x + i);
    return 1 / sqrtf(sum(squares) / width + eps);
}

// RMSNorm (Zhang and Sennrich 2019) of a row, into the panels of the next product.
static void norm(const Model *m, const float *x, const float *weight, const Panels *to, int64_t row) {
    float scale = scale_of(x, m->width, m->eps), values[UNIT];
    for (int64_t at = 0; at < m->width; at += UNIT) {
        for (int i = 0; i < UNIT; i += LANES) store(values + i, load(x + at + i) * scale * load(weight + at + i));
        put(to, row, at, values);
    }
}

static Panels panels_for(const Matrix *next, char *memory, int64_t rows) {
    return panels_over(memory, whole_panels(rows), next->inputs, next->format);
}

static Panels norm_rows(const Step *s, const Thread *t, const float *x, int64_t rows, const float *weight,
                        const Matrix *next) {
    const Panels normed = panels_for(next, s->inputs, rows);
    EACH_OWN(row, rows, t) norm(s->model, x + row * s->model->width, weight, &normed, row);
    meet(s->meeting, t->threads);
    return normed;
}

static void product(const Step *s, Thread *t, const Matrix *m, const Panels *x, int64_t rows, Use use, float *out,
                    const Panels *next) {
    multiply(&(Product){m, x, rows, use, out, next, &s->taken[t->first_free++], t->threads});
    meet(s->meeting, t->threads);
}

// Rows of the table, and RoPE's angles at their positions (Su et al. 2021).
static void begin(const Step *s, const Thread *t) {
    const Model *m = s->model;
    EACH_OWN(row, s->batch->rows, t) {
        const uint16_t *entry = m->table + s->batch->tokens[row] * m->width;
        for (int64_t i = 0; i < m->width; i += LANES) store(s->residual + row * m->width + i, load_bf16(entry + i));
        for (int64_t i = 0; i < m->head_dim / 2; i++) {
            float angle = (float)s->batch->positions[row] * m->frequencies[i];
            s->cosines[row * m->head_dim / 2 + i] = cosf(angle) * m->rotation_magnitude;
            s->sines[row * m->head_dim / 2 + i] = sinf(angle) * m->rotation_magnitude;
        }
    }
}

// A head of queries or keys: normed, where there is a norm, and rotated: value i pairs with value i + head_dim / 2.
static void rotate(const Step *s, int64_t row, float *head, const float *norm) {
    const int64_t dim = s->model->head_dim, half = dim / 2;
    const float *cosines = s->cosines + row * half, *sines = s->sines + row * half;
    if (norm) {
        float scale = scale_of(head, dim, s->model->eps);
        for (int64_t i = 0; i < dim; i += LANES) store(head + i, load(head + i) * scale * load(norm + i));
    }
    for (int64_t i = 0; i < half; i += LANES) {
        floats low = load(head + i), high = load(head + half + i), cosine = load(cosines + i), sine = load(sines + i);
        store(head + i, low * cosine - high * sine);
        store(head + half + i, high * cosine + low * sine);
    }
}

static void store_head(uint16_t *to, const float *head, int64_t dim) {
    for (int64_t i = 0; i < dim; i += LANES) store_bf16(to + i, load(head + i));
}

// Keys and values of a row into the cache, its queries rotated where they are.
static void fill_cache(const Step *s, int64_t layer, int64_t row) {
    const Model *m = s->model;
    const int64_t dim = m->head_dim, position = s->batch->positions[row];
    const int32_t *table = s->batch->tables + s->sequences[row] * s->batch->table_width;
    const int64_t block = table[position / BLOCK_TOKENS], token = position % BLOCK_TOKENS;
    float *queries = s->qkv + row * (m->n_heads + 2 * m->n_kv_heads) * dim;
    float *keys = queries + m->n_heads * dim, *values = keys + m->n_kv_heads * dim;
    int64_t at = layer * s->cache->layer_stride + block * s->cache->block_stride + token * dim;
    for (int64_t head = 0; head < m->n_heads; head++) rotate(s, row, queries + head * dim, m->layers[layer].query_norm);
    for (int64_t head = 0; head < m->n_kv_heads; head++, at += s->cache->head_stride) {
        rotate(s, row, keys + head * dim, m->layers[layer].key_norm);
        store_head(s->cache->k + at, keys + head * dim, dim);
        store_head(s->cache->v + at, values + head * dim, dim);
    }
}

static void attend_all(const Step *s, Thread *t, int64_t layer, const Spans *spans, const int32_t *slots,
                       const Panels *out) {
    const Model *m = s->model;
    const Attention a = {m, s->batch, s->cache, layer, s->qkv, slots, out};
    atomic_llong *taken = &s->taken[t->first_free++];
    for (int64_t i; (i = atomic_fetch_add(taken, 1)) < spans->count * m->n_kv_heads;)
        attend(&a, &spans->spans[i / m->n_kv_heads], i % m->n_kv_heads, s->scratch + t->number * s->scratch_bytes);
    meet(s->meeting, t->threads);
}

// The stream of the wanted rows alone: nobody needs any other after the last layer's keys and values are stored.
static float *narrow(const Step *s, const Thread *t) {
    const int64_t width = s->model->width;
    EACH_OWN(row, s->batch->wanted_rows, t)
        memcpy(s->kept + row * width, s->residual + s->batch->wanted[row] * width, width * sizeof(float));
    return s->kept;
}

static void layer(const Step *s, Thread *t, int64_t number) {
    const Layer *l = &s->model->layers[number];
    const int last = number == s->model->n_layers - 1;
    const int64_t all = s->batch->rows, rows = last ? s->batch->wanted_rows : all;
    float *x = s->residual;
    Panels normed = norm_rows(s, t, x, all, l->attention_norm, &l->qkv);
    product(s, t, &l->qkv, &normed, all, STORE, s->qkv, NULL);
    EACH_OWN(row, all, t) fill_cache(s, number, row);
    if (last) x = narrow(s, t);
    meet(s->meeting, t->threads);
    Panels attended = panels_for(&l->output, s->middle, rows), activated = panels_for(&l->down, s->middle, rows);
    attend_all(s, t, number, last ? &s->last : &s->all, last ? s->last_slots : s->slots, &attended);
    product(s, t, &l->output, &attended, rows, ADD, x, NULL);
    normed = norm_rows(s, t, x, rows, l->feed_forward_norm, &l->gate_up);
    product(s, t, &l->gate_up, &normed, rows, SWIGLU, NULL, &activated);
    product(s, t, &l->down, &activated, rows, ADD, x, NULL);
}

static void run(void *argument) {
    const Step *s = argument;
    const Model *m = s->model;
    const int64_t rows = s->batch->wanted_rows;
    Thread t = this_thread(&m->pool);
    begin(s, &t);
    for (int64_t number = 0; number < m->n_layers; number++) layer(s, &t, number);
    const Panels normed = norm_rows(s, &t, s->kept, rows, m->final_norm, &m->head);
    product(s, &t, &m->head, &normed, rows, STORE, s->logits, NULL);
}

void native_step(const Model *m, const Batch *b, const Cache *c, char *memory, float *logits) {
    Step s = {.model = m, .batch = b, .cache = c, .logits = logits};
    lay_out_step(&s, m, b, memory);
    group_rows(&s);
    if (m->pool.parallel) m->pool.parallel(run, &s, m->pool.threads, 0);
    else run(&s);
}

int64_t native_memory(const Model *m, const Batch *b) {
    Step s;
    return lay_out_step(&s, m, b, NULL);
}
