// A tile of a product in any format: some rows times one unit of a matrix, added to sums[row][32].
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

// Rows `row` and on, at most TILE, a multiple of PANEL; `ahead` is what to fetch meanwhile.
static void tile(const Matrix *m, int64_t number, const Panels *p, int64_t row, int rows, const char *ahead,
                 float *sums) {
    const char *unit = m->units + number * unit_bytes(m);
    const int64_t pairs = m->inputs / 2, groups = m->inputs / UNIT;
    if (m->format == BF16) {
        const int64_t panel = panel_words(p);
        const int32_t *x = p->words + row / PANEL * panel;
#define CASE(n) tile_bf16(unit, pairs, x, panel, n, ahead, sums)
        FOR_ROWS(rows, CASE)
#undef CASE
    } else if (m->format == INT8) {
#define CASE(n) tile_int8(unit, groups, p, row, n, ahead, m->scales + number * UNIT, sums)
        FOR_ROWS(rows, CASE)
#undef CASE
    } else {
#define CASE(n) tile_int4(unit, groups, p, row, n, ahead, sums)
        FOR_ROWS(rows, CASE)
#undef CASE
    }
}
