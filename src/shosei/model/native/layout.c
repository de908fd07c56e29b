// Where everything in a step's memory lies, and which rows attend together.
#include "step.h"

// How many phases hand out their work by a counter: five a layer (attention and four products), and the head.
static int64_t shared_phases(const Model *m) { return 5 * m->n_layers + 1; }

static char *reserve(char **memory, int64_t bytes) {
    char *begin = *memory;
    *memory += (bytes + 63) / 64 * 64;
    return begin;
}

int64_t lay_out_step(Step *s, const Model *m, const Batch *b, char *memory) {
    const int64_t attention = m->n_heads * m->head_dim, rows = b->rows, panels = whole_panels(rows);
    const int64_t middle = attention > m->intermediate ? attention : m->intermediate;
    char *end = memory;
    s->residual = (float *)reserve(&end, rows * m->width * 4);
    s->kept = (float *)reserve(&end, b->wanted_rows * m->width * 4);
    s->qkv = (float *)reserve(&end, rows * (m->n_heads + 2 * m->n_kv_heads) * m->head_dim * 4);
    s->cosines = (float *)reserve(&end, rows * m->head_dim / 2 * 4);
    s->sines = (float *)reserve(&end, rows * m->head_dim / 2 * 4);
    s->inputs = reserve(&end, panels * panel_row_bytes(m->width));
    s->middle = reserve(&end, panels * panel_row_bytes(middle));
    s->sequences = (int32_t *)reserve(&end, rows * 4);
    s->rows = (int32_t *)reserve(&end, rows * 4);
    s->slots = (int32_t *)reserve(&end, rows * 4);
    s->last_rows = (int32_t *)reserve(&end, rows * 4);
    s->last_slots = (int32_t *)reserve(&end, rows * 4);
    s->all.spans = (Span *)reserve(&end, rows * sizeof(Span));
    s->last.spans = (Span *)reserve(&end, rows * sizeof(Span));
    s->meeting = (Meeting *)reserve(&end, sizeof *s->meeting);
    s->taken = (atomic_llong *)reserve(&end, shared_phases(m) * sizeof *s->taken);
    s->scratch_bytes = (attention_bytes(m) + 63) / 64 * 64;
    s->scratch = reserve(&end, s->scratch_bytes * m->pool.threads);
    return end - memory;
}

// Cut the rows of each sequence among rows[0] to rows[count - 1], which rise, into spans.
static Spans cut(const Step *s, const int32_t *rows, int64_t count, Span *spans) {
    const int64_t group = s->model->n_heads / s->model->n_kv_heads;
    const int64_t most = group < SPAN_QUERIES ? SPAN_QUERIES / group : 1;
    int64_t made = 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t sequence = s->sequences[rows[i]];
        if (made && spans[made - 1].sequence == sequence && spans[made - 1].count < most) spans[made - 1].count++;
        else spans[made++] = (Span){sequence, 1, rows + i};
    }
    return (Spans){spans, made};
}

void group_rows(Step *s) {
    const Batch *b = s->batch;
    for (int64_t sequence = 0; sequence < b->sequences; sequence++)
        for (int64_t row = b->starts[sequence]; row < b->starts[sequence + 1]; row++) s->sequences[row] = sequence;
    for (int64_t row = 0; row < b->rows; row++) s->rows[row] = s->slots[row] = row;
    for (int64_t slot = 0; slot < b->wanted_rows; slot++) {
        s->last_rows[slot] = b->wanted[slot];
        s->last_slots[b->wanted[slot]] = slot;
    }
    s->all = cut(s, s->rows, b->rows, (Span *)s->all.spans);
    s->last = cut(s, s->last_rows, b->wanted_rows, (Span *)s->last.spans);
    memset(s->meeting, 0, sizeof *s->meeting);
    for (int64_t i = 0; i < shared_phases(s->model); i++) atomic_init(&s->taken[i], 0);
}
