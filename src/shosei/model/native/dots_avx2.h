// A tile of a product, as in dots_avx512.h, with AVX2 and FMA: a part of the unit's outputs at a time, for want of
// registers. One row alone takes all of them: it reads memory from end to end, and while one sum waits for its last
// addition the others go on.
#pragma once
#include "panels.h"

#define TILE 12

INLINE __m256 odd_bf16(__m256i pairs) {
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(0xffff0000)));
}
INLINE __m256 even_bf16(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
INLINE __m256i load8(const char *p) { return _mm256_loadu_si256((const __m256i *)p); }

// `width` vectors of outputs.
INLINE void part_bf16(const char *unit, int64_t pairs, const int32_t *x, const int rows, const int width,
                      const char *ahead, float *sums) {
    __m256 sum[PANEL][4];
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int h = 0; h < width; h++) sum[r][h] = _mm256_loadu_ps(sums + r * UNIT + h * 8);
    for (int64_t k = 0; k < pairs; k++) {
        UNROLLED for (int h = 0; h < width; h += 2) PREFETCH(ahead + k * 128 + h * 32);
        UNROLLED for (int r = 0; r < rows; r++) {
            __m256i inputs = _mm256_set1_epi32(x[k * PANEL + r]);
            __m256 even = even_bf16(inputs), odd = odd_bf16(inputs);
            UNROLLED for (int h = 0; h < width; h++) {
                __m256i weights = load8(unit + k * 128 + h * 32);
                sum[r][h] = _mm256_fmadd_ps(even_bf16(weights), even, sum[r][h]);
                sum[r][h] = _mm256_fmadd_ps(odd_bf16(weights), odd, sum[r][h]);
            }
        }
    }
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int h = 0; h < width; h++) _mm256_storeu_ps(sums + r * UNIT + h * 8, sum[r][h]);
}

INLINE void tile_bf16(const char *unit, int64_t pairs, const int32_t *x, int64_t panel, const int rows,
                      const char *ahead, float *sums) {
    const int width = rows == 1 ? 4 : 2;
    UNROLLED for (int r = 0; r < rows; r += PANEL)
        for (int h = 0; h < 4; h += width)
            part_bf16(unit + h * 32, pairs, x + r / PANEL * panel, rows - r < PANEL ? rows - r : PANEL, width,
                      ahead + h * 32, sums + r * UNIT + h * 8);
}

INLINE __m256 bf16x8(const char *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}

// Of 32 inputs of one row with signed codes: |code| times the input with the code's sign. No sum of two exceeds
// 2 * 127 * 128, so that 16 bits hold it.
INLINE __m256i dot_int8(const __m256i *codes, const int32_t *x) {
    __m256i sum = _mm256_setzero_si256();
    UNROLLED for (int j = 0; j < 8; j++) {
        __m256i inputs = _mm256_sign_epi8(_mm256_set1_epi32(x[j * PANEL]), codes[j]);
        __m256i twos = _mm256_maddubs_epi16(_mm256_abs_epi8(codes[j]), inputs);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(twos, _mm256_set1_epi16(1)));
    }
    return sum;
}

// Of 32 inputs with codes from 0 to 15: 16 bits hold 8 * 2 * 15 * 127.
INLINE __m256i dot_int4(const __m256i *codes, const int32_t *x) {
    __m256i twos = _mm256_setzero_si256();
    UNROLLED for (int j = 0; j < 8; j++)
        twos = _mm256_add_epi16(twos, _mm256_maddubs_epi16(codes[j], _mm256_set1_epi32(x[j * PANEL])));
    return _mm256_madd_epi16(twos, _mm256_set1_epi16(1));
}

// Rows of a tile: their words and scales from the first one's first input on.
typedef struct {
    const int32_t *x;
    const float *scales, *sums;
    int64_t words, groups; // of a panel
} Rows;

INLINE Rows rows_from(const Panels *p, int64_t row) {
    const int64_t words = panel_words(p), groups = p->inputs / UNIT * PANEL, first = row / PANEL * groups;
    return (Rows){p->words + row / PANEL * words, p->scales + first, p->sums + first, words, groups};
}

INLINE const int32_t *words_of(const Rows *rows, int r, int64_t group) {
    return rows->x + r / PANEL * rows->words + group * 8 * PANEL + r % PANEL;
}
INLINE int64_t group_of(const Rows *rows, int r, int64_t group) {
    return r / PANEL * rows->groups + group * PANEL + r % PANEL;
}

// 32 inputs of rows with the codes of 8 outputs, added to their sums.
INLINE void group_int8(const char *unit, const Rows *from, const int rows, int64_t group, __m256 *sums) {
    __m256i codes[8];
    UNROLLED for (int j = 0; j < 8; j++) codes[j] = _mm256_xor_si256(load8(unit + j * 128), _mm256_set1_epi8(-128));
    UNROLLED for (int r = 0; r < rows; r++) {
        __m256 total = _mm256_cvtepi32_ps(dot_int8(codes, words_of(from, r, group)));
        sums[r] = _mm256_fmadd_ps(total, _mm256_set1_ps(from->scales[group_of(from, r, group)]), sums[r]);
    }
}

INLINE void store_int8(__m256 sum, const float *scales, float *to) {
    _mm256_storeu_ps(to, _mm256_mul_ps(sum, _mm256_loadu_ps(scales)));
}

INLINE void tile_int8(const char *unit, int64_t groups, const Panels *p, int64_t row, const int rows,
                      const char *ahead, const float *output_scales, float *sums) {
    const Rows from = rows_from(p, row);
    if (rows == 1) {
        __m256 sum[4];
        UNROLLED for (int h = 0; h < 4; h++) sum[h] = _mm256_setzero_ps();
        for (int64_t g = 0; g < groups; g++) {
            UNROLLED for (int j = 0; j < 16; j++) PREFETCH(ahead + g * 1024 + j * 64);
            UNROLLED for (int h = 0; h < 4; h++) group_int8(unit + g * 1024 + h * 32, &from, 1, g, sum + h);
        }
        UNROLLED for (int h = 0; h < 4; h++) store_int8(sum[h], output_scales + h * 8, sums + h * 8);
        return;
    }
    for (int h = 0; h < 4; h++) {
        __m256 sum[TILE];
        UNROLLED for (int r = 0; r < rows; r++) sum[r] = _mm256_setzero_ps();
        for (int64_t g = 0; g < groups; g++) {
            if (h % 2 == 0) UNROLLED for (int j = 0; j < 8; j++) PREFETCH(ahead + g * 1024 + j * 128 + h * 32);
            group_int8(unit + g * 1024 + h * 32, &from, rows, g, sum);
        }
        UNROLLED for (int r = 0; r < rows; r++) store_int8(sum[r], output_scales + h * 8, sums + r * UNIT + h * 8);
    }
}

INLINE void group_int4(const char *unit, int h, const Rows *from, const int rows, int64_t group, __m256 *sums) {
    __m256i codes[8];
    UNROLLED for (int j = 0; j < 4; j++) {
        __m256i pair = load8(unit + j * 128 + h * 32);
        codes[2 * j] = _mm256_and_si256(pair, _mm256_set1_epi8(15));
        codes[2 * j + 1] = _mm256_and_si256(_mm256_srli_epi16(pair, 4), _mm256_set1_epi8(15));
    }
    __m256 scale = bf16x8(unit + 512 + h * 16);
    __m256 offset = _mm256_fnmadd_ps(_mm256_set1_ps(8), scale, bf16x8(unit + 576 + h * 16)); // of code 0
    UNROLLED for (int r = 0; r < rows; r++) {
        const int64_t at = group_of(from, r, group);
        __m256i total = dot_int4(codes, words_of(from, r, group));
        __m256 scaled = _mm256_mul_ps(_mm256_set1_ps(from->scales[at]), scale);
        sums[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scaled, sums[r]);
        sums[r] = _mm256_fmadd_ps(_mm256_set1_ps(from->sums[at]), offset, sums[r]);
    }
}

INLINE void tile_int4(const char *unit, int64_t groups, const Panels *p, int64_t row, const int rows,
                      const char *ahead, float *sums) {
    const Rows from = rows_from(p, row);
    if (rows == 1) {
        __m256 sum[4];
        UNROLLED for (int h = 0; h < 4; h++) sum[h] = _mm256_setzero_ps();
        for (int64_t g = 0; g < groups; g++) {
            UNROLLED for (int j = 0; j < 10; j++) PREFETCH(ahead + g * 640 + j * 64);
            UNROLLED for (int h = 0; h < 4; h++) group_int4(unit + g * 640, h, &from, 1, g, sum + h);
        }
        UNROLLED for (int h = 0; h < 4; h++) _mm256_storeu_ps(sums + h * 8, sum[h]);
        return;
    }
    for (int h = 0; h < 4; h++) {
        __m256 sum[TILE];
        UNROLLED for (int r = 0; r < rows; r++) sum[r] = _mm256_setzero_ps();
        for (int64_t g = 0; g < groups; g++) {
            if (h == 0) UNROLLED for (int j = 0; j < 10; j++) PREFETCH(ahead + g * 640 + j * 64);
            group_int4(unit + g * 640, h, &from, rows, g, sum);
        }
        UNROLLED for (int r = 0; r < rows; r++) _mm256_storeu_ps(sums + r * UNIT + h * 8, sum[r]);
    }
}
