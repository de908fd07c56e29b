// A tile of a product: up to TILE rows times one unit of 32 outputs, added to sums[row][32] (in 8 and 4 bits written to
// it). AVX-512 with BF16 and VNNI.
// Every sum runs over the inputs in their order, whatever the number of rows: a row's result knows no other row.
#pragma once
#include "panels.h"

#define TILE 12
#define BROADCAST(row, word) _mm512_set1_epi32(x[(row) / PANEL * panel + (word) * PANEL + (row) % PANEL])

INLINE void tile_bf16(const char *unit, int64_t pairs, const int32_t *x, int64_t panel, const int rows,
                      const char *ahead, float *sums) {
    __m512 sum[TILE][2];
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int h = 0; h < 2; h++) sum[r][h] = _mm512_loadu_ps(sums + r * UNIT + h * 16);
    for (int64_t k = 0; k < pairs; k++) {
        __m512bh first = (__m512bh)_mm512_loadu_si512(unit + k * 128);
        __m512bh second = (__m512bh)_mm512_loadu_si512(unit + k * 128 + 64);
        PREFETCH(ahead + k * 128);
        PREFETCH(ahead + k * 128 + 64);
        UNROLLED for (int r = 0; r < rows; r++) {
            __m512bh inputs = (__m512bh)BROADCAST(r, k);
            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], first, inputs);
            sum[r][1] = _mm512_dpbf16_ps(sum[r][1], second, inputs);
        }
    }
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int h = 0; h < 2; h++) _mm512_storeu_ps(sums + r * UNIT + h * 16, sum[r][h]);
}

INLINE __m512 bf16x16(const char *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}

// Keeps clang from computing one row after the other, each a chain of sums that wait for each other.
#define IN_THIS_ORDER(sum) __asm__ volatile("" : "+v"(sum))

// 32 inputs of a panel's rows with the codes of 32 outputs, [8][2][16 outputs][4 inputs], added to totals[row][half].
INLINE void dot(const char *codes, const int32_t *x, const int rows, __m512i totals[PANEL][2]) {
    UNROLLED for (int j = 0; j < 8; j++) {
        __m512i first = _mm512_loadu_si512(codes + j * 128), second = _mm512_loadu_si512(codes + j * 128 + 64);
        UNROLLED for (int r = 0; r < rows; r++) {
            __m512i inputs = _mm512_set1_epi32(x[j * PANEL + r]);
            totals[r][0] = _mm512_dpbusd_epi32(totals[r][0], first, inputs);
            totals[r][1] = _mm512_dpbusd_epi32(totals[r][1], second, inputs);
            IN_THIS_ORDER(totals[r][0]);
            IN_THIS_ORDER(totals[r][1]);
        }
    }
}

INLINE void tile_int8(const char *unit, int64_t groups, const Panels *p, int64_t row, const int rows,
                      const char *ahead, const float *output_scales, float *sums) {
    const int64_t panel = panel_words(p), group_panel = groups * PANEL;
    const int32_t *x = p->words + row / PANEL * panel;
    const int64_t first = row / PANEL * group_panel;
    __m512 sum[TILE][2];
    UNROLLED for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    for (int64_t g = 0; g < groups; g++, unit += 1024, ahead += 1024) {
        UNROLLED for (int j = 0; j < 16; j++) PREFETCH(ahead + j * 64);
        UNROLLED for (int q = 0; q < rows; q += PANEL) {
            const int count = rows - q < PANEL ? rows - q : PANEL;
            const int64_t at = first + q / PANEL * group_panel + g * PANEL;
            __m512i totals[PANEL][2];
            UNROLLED for (int r = 0; r < count; r++) totals[r][0] = totals[r][1] = _mm512_set1_epi32(p->starts[at + r]);
            dot(unit, x + q / PANEL * panel + g * 8 * PANEL, count, totals);
            UNROLLED for (int r = 0; r < count; r++) {
                __m512 scale = _mm512_set1_ps(p->scales[at + r]);
                UNROLLED for (int h = 0; h < 2; h++)
                    sum[q + r][h] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(totals[r][h]), scale, sum[q + r][h]);
            }
        }
    }
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int h = 0; h < 2; h++) {
            __m512 scale = _mm512_loadu_ps(output_scales + h * 16);
            _mm512_storeu_ps(sums + r * UNIT + h * 16, _mm512_mul_ps(sum[r][h], scale));
        }
}

// 32 inputs' codes of 32 outputs, as dot() reads them.
INLINE void unpack(const char *unit, char *codes) {
    const __m512i low = _mm512_set1_epi8(15);
    UNROLLED for (int j = 0; j < 8; j++) { // 4 * 2 vectors of pairs
        __m512i pair = _mm512_loadu_si512(unit + j * 64);
        _mm512_storeu_si512(codes + j / 2 * 256 + j % 2 * 64, _mm512_and_si512(pair, low));
        _mm512_storeu_si512(codes + j / 2 * 256 + j % 2 * 64 + 128, _mm512_and_si512(_mm512_srli_epi16(pair, 4), low));
    }
}

INLINE void tile_int4(const char *unit, int64_t groups, const Panels *p, int64_t row, const int rows,
                      const char *ahead, float *sums) {
    const int64_t panel = panel_words(p), group_panel = groups * PANEL;
    const int32_t *x = p->words + row / PANEL * panel;
    const int64_t first = row / PANEL * group_panel;
    __m512 sum[TILE][2];
    char codes[1024] __attribute__((aligned(64)));
    UNROLLED for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    for (int64_t g = 0; g < groups; g++, unit += 640, ahead += 640) {
        __m512 scale[2], offset[2];
        UNROLLED for (int j = 0; j < 10; j++) PREFETCH(ahead + j * 64);
        unpack(unit, codes);
        UNROLLED for (int h = 0; h < 2; h++) {
            scale[h] = bf16x16(unit + 512 + h * 32);
            offset[h] = _mm512_fnmadd_ps(_mm512_set1_ps(8), scale[h], bf16x16(unit + 576 + h * 32)); // of code 0
        }
        UNROLLED for (int q = 0; q < rows; q += PANEL) {
            const int count = rows - q < PANEL ? rows - q : PANEL;
            const int64_t at = first + q / PANEL * group_panel + g * PANEL;
            __m512i totals[PANEL][2];
            UNROLLED for (int r = 0; r < count; r++) totals[r][0] = totals[r][1] = _mm512_setzero_si512();
            dot(codes, x + q / PANEL * panel + g * 8 * PANEL, count, totals);
            UNROLLED for (int r = 0; r < count; r++) {
                __m512 row_scale = _mm512_set1_ps(p->scales[at + r]), row_sum = _mm512_set1_ps(p->sums[at + r]);
                UNROLLED for (int h = 0; h < 2; h++) {
                    __m512 scaled = _mm512_mul_ps(row_scale, scale[h]);
                    sum[q + r][h] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(totals[r][h]), scaled, sum[q + r][h]);
                    sum[q + r][h] = _mm512_fmadd_ps(row_sum, offset[h], sum[q + r][h]);
                }
            }
        }
    }
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int h = 0; h < 2; h++) _mm512_storeu_ps(sums + r * UNIT + h * 16, sum[r][h]);
}
