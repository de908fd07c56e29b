// A tile of a product, as in dots_avx512.h, with AVX2 and FMA: four rows and a part of the unit's outputs at a time.
#pragma once
#include "panels.h"

#define TILE 12

INLINE __m256 odd_bf16(__m256i pairs) {
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(0xffff0000)));
}
INLINE __m256 even_bf16(__m256i pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
INLINE __m256i load8(const char *p) { return _mm256_loadu_si256((const __m256i *)p); }

INLINE void part_bf16(const char *unit, int64_t pairs, const int32_t *x, const int rows, const char *ahead,
                      float *sums) {
    __m256 sum[PANEL][2];
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int h = 0; h < 2; h++) sum[r][h] = _mm256_loadu_ps(sums + r * UNIT + h * 8);
    for (int64_t k = 0; k < pairs; k++) {
        PREFETCH(ahead + k * 128);
        __m256i first = load8(unit + k * 128), second = load8(unit + k * 128 + 32);
        UNROLLED for (int r = 0; r < rows; r++) {
            __m256i inputs = _mm256_set1_epi32(x[k * PANEL + r]);
            __m256 even = even_bf16(inputs), odd = odd_bf16(inputs);
            sum[r][0] = _mm256_fmadd_ps(odd_bf16(first), odd, _mm256_fmadd_ps(even_bf16(first), even, sum[r][0]));
            sum[r][1] = _mm256_fmadd_ps(odd_bf16(second), odd, _mm256_fmadd_ps(even_bf16(second), even, sum[r][1]));
        }
    }
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int h = 0; h < 2; h++) _mm256_storeu_ps(sums + r * UNIT + h * 8, sum[r][h]);
}

INLINE void tile_bf16(const char *unit, int64_t pairs, const int32_t *x, int64_t panel, const int rows,
                      const char *ahead, float *sums) {
    UNROLLED for (int r = 0; r < rows; r += PANEL)
        for (int h = 0; h < 2; h++)
            part_bf16(unit + h * 64, pairs, x + r / PANEL * panel, rows - r < PANEL ? rows - r : PANEL,
                      ahead + h * 64, sums + r * UNIT + h * 16);
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

INLINE void tile_int8(const char *unit, int64_t groups, const Panels *p, int64_t row, const int rows,
                      const char *ahead, const float *output_scales, float *sums) {
    const int64_t panel = panel_words(p), group_panel = groups * PANEL;
    const int32_t *x = p->words + row / PANEL * panel;
    const int64_t first = row / PANEL * group_panel;
    for (int h = 0; h < 4; h++) {
        __m256 sum[TILE];
        UNROLLED for (int r = 0; r < rows; r++) sum[r] = _mm256_setzero_ps();
        for (int64_t g = 0; g < groups; g++) {
            __m256i codes[8];
            UNROLLED for (int j = 0; j < 8; j++) {
                codes[j] = _mm256_xor_si256(load8(unit + g * 1024 + j * 128 + h * 32), _mm256_set1_epi8(-128));
                if (h % 2 == 0) PREFETCH(ahead + g * 1024 + j * 128 + h * 32);
            }
            UNROLLED for (int r = 0; r < rows; r++) {
                int64_t at = first + r / PANEL * group_panel + g * PANEL + r % PANEL;
                __m256i total = dot_int8(codes, x + r / PANEL * panel + g * 8 * PANEL + r % PANEL);
                sum[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), _mm256_set1_ps(p->scales[at]), sum[r]);
            }
        }
        UNROLLED for (int r = 0; r < rows; r++)
            _mm256_storeu_ps(sums + r * UNIT + h * 8, _mm256_mul_ps(sum[r], _mm256_loadu_ps(output_scales + h * 8)));
    }
}

INLINE void tile_int4(const char *unit, int64_t groups, const Panels *p, int64_t row, const int rows,
                      const char *ahead, float *sums) {
    const int64_t panel = panel_words(p), group_panel = groups * PANEL;
    const int32_t *x = p->words + row / PANEL * panel;
    const int64_t first = row / PANEL * group_panel;
    for (int h = 0; h < 4; h++) {
        __m256 sum[TILE];
        UNROLLED for (int r = 0; r < rows; r++) sum[r] = _mm256_setzero_ps();
        for (int64_t g = 0; g < groups; g++) {
            const char *group = unit + g * 640;
            __m256i codes[8];
            if (h == 0) UNROLLED for (int j = 0; j < 10; j++) PREFETCH(ahead + g * 640 + j * 64);
            UNROLLED for (int j = 0; j < 4; j++) {
                __m256i pair = load8(group + j * 128 + h * 32);
                codes[2 * j] = _mm256_and_si256(pair, _mm256_set1_epi8(15));
                codes[2 * j + 1] = _mm256_and_si256(_mm256_srli_epi16(pair, 4), _mm256_set1_epi8(15));
            }
            __m256 scale = bf16x8(group + 512 + h * 16);
            __m256 offset = _mm256_fnmadd_ps(_mm256_set1_ps(8), scale, bf16x8(group + 576 + h * 16)); // of code 0
            UNROLLED for (int r = 0; r < rows; r++) {
                int64_t at = first + r / PANEL * group_panel + g * PANEL + r % PANEL;
                __m256i total = dot_int4(codes, x + r / PANEL * panel + g * 8 * PANEL + r % PANEL);
                __m256 scaled = _mm256_mul_ps(_mm256_set1_ps(p->scales[at]), scale);
                sum[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scaled, sum[r]);
                sum[r] = _mm256_fmadd_ps(_mm256_set1_ps(p->sums[at]), offset, sum[r]);
            }
        }
        UNROLLED for (int r = 0; r < rows; r++) _mm256_storeu_ps(sums + r * UNIT + h * 8, sum[r]);
    }
}
