// A tile of a product in any format, some rows times one unit of a matrix: added to sums[row][32] in bfloat16, written
// there in 8 and 4 bits.
#pragma once
#ifdef __AVX512F__
#include "dots_avx512.h"
#else
#include "dots_avx2.h"
#endif

// One copy of the code for each number of rows, whose sums then stay in registers.
#define FOR_ROWS(rows, CASE) \
    switch (rows) { \
    case 1: CASE(1); break; case 2: CASE(2); break; case 3: CASE(3); break; case 4: CASE(4); break; \
    case 5: CASE(5); break; case 6: CASE(6); break; case 7: CASE(7); break; case 8: CASE(8); break; \
    case 9: CASE(9); break; case 10: CASE(10); break; case 11: CASE(11); break; default: CASE(12); \
    }

static inline int64_t unit_bytes(const Matrix *m) {
    return m->inputs * UNIT * (m->format == BF16 ? 16 : m->format == INT8 ? 8 : 5) / 8;
}

static inline const char *unit_of(const Matrix *m, int64_t number) { return m->units + number * unit_bytes(m); }

// A function for each format: in one function of all three, gcc's choice of registers for one depends on the others.
#define APART static __attribute__((noinline)) void

APART rows_bf16(const Matrix *m, int64_t number, const Panels *p, int64_t row, int rows, const char *ahead,
                float *sums) {
    const char *unit = unit_of(m, number);
    const int64_t panel = panel_words(p);
    const int32_t *x = p->words + row / PANEL * panel;
#define CASE(n) tile_bf16(unit, m->inputs / 2, x, panel, n, ahead, sums)
    FOR_ROWS(rows, CASE)
#undef CASE
}

APART rows_int8(const Matrix *m, int64_t number, const Panels *p, int64_t row, int rows, const char *ahead,
                float *sums) {
    const char *unit = unit_of(m, number);
    const float *scales = m->scales + number * UNIT;
#define CASE(n) tile_int8(unit, m->inputs / UNIT, p, row, n, ahead, scales, sums)
    FOR_ROWS(rows, CASE)
#undef CASE
}

APART rows_int4(const Matrix *m, int64_t number, const Panels *p, int64_t row, int rows, const char *ahead,
                float *sums) {
    const char *unit = unit_of(m, number);
#define CASE(n) tile_int4(unit, m->inputs / UNIT, p, row, n, ahead, sums)
    FOR_ROWS(rows, CASE)
#undef CASE
}

// Rows `row` and on, at most TILE, a multiple of PANEL; `ahead` is what to fetch meanwhile.
static void tile(const Matrix *m, int64_t number, const Panels *p, int64_t row, int rows, const char *ahead,
                 float *sums) {
    if (m->format == BF16) rows_bf16(m, number, p, row, rows, ahead, sums);
    else if (m->format == INT8) rows_int8(m, number, p, row, rows, ahead, sums);
    else rows_int4(m, number, p, row, rows, ahead, sums);
}
