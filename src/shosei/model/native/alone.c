// What tests and measurements call besides whole steps.
#include "meeting.h"
#include "product.h"

typedef struct {
    const Matrix *matrix;
    const Pool *pool;
    int64_t rows;
    const float *x;
    float *out;
    Panels panels;
    atomic_llong taken;
    Meeting meeting;
} Alone;

static void run(void *argument) {
    Alone *a = argument;
    const int64_t number = a->pool->parallel ? a->pool->number() : 0;
    const int64_t threads = a->pool->parallel ? a->pool->size() : 1;
    const int64_t panels = (a->rows + PANEL - 1) / PANEL, end = panels * (number + 1) / threads * PANEL;
    for (int64_t row = panels * number / threads * PANEL; row < end && row < a->rows; row++) {
        const float *x = a->x + row * a->matrix->inputs;
        for (int64_t at = 0; at < a->matrix->inputs; at += UNIT) put(&a->panels, row, at, x + at);
    }
    meet(&a->meeting, threads);
    multiply(&(Product){a->matrix, &a->panels, a->rows, STORE, a->out, NULL, &a->taken, threads});
}

void native_product(const Matrix *matrix, const Pool *pool, int64_t rows, const float *x, char *memory, float *out) {
    const Panels panels = panels_over(memory, whole_panels(rows), matrix->inputs, matrix->format);
    Alone a = {matrix, pool, rows, x, out, panels, 0, {0, 0, 0}};
    if (pool->parallel) pool->parallel(run, &a, pool->threads, 0);
    else run(&a);
}

void native_sizes(int64_t *sizes) {
    const int64_t all[] = {sizeof(Matrix), sizeof(Layer), sizeof(Model), sizeof(Batch), sizeof(Cache)};
    memcpy(sizes, all, sizeof all);
}
