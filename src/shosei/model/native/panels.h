// Rows that matrices are multiplied with, laid out in panels of four so that one broadcast feeds a dot product.
#pragma once
#include "vectors.h"

enum { PANEL = 4 };

// A word holds two inputs in bfloat16 or four in 8 bits; word w of row r is words[r / 4][w][r % 4], and so on.
// 8-bit rows have a scale for each 32 inputs, so that an outlier costs its neighbours little, other rows nothing.
typedef struct {
    int64_t format, inputs; // the format is that of the matrix
    int32_t *words;         // [panel][inputs / 2 or 4][PANEL]
    float *scales;          // [panel][inputs / 32][PANEL]
    int32_t *starts;        // the same: -128 * the sum of the codes, which makes up for a matrix's codes + 128 (INT8)
    float *sums;            // the same: scale * the sum of the codes, what an offset is multiplied with (INT4)
} Panels;

// So many rows, and those that fill up the last panel.
INLINE int64_t whole_panels(int64_t rows) { return (rows + PANEL - 1) / PANEL * PANEL; }

INLINE int64_t panel_words(const Panels *p) { return p->inputs / (p->format == BF16 ? 2 : 4) * PANEL; }

// Bytes of one row, with all that goes with it.
INLINE int64_t panel_row_bytes(int64_t inputs) { return inputs * 2; } // in 8 bits 1 + 3 * 4 / 32 would do

// Panels over `memory` of rows * panel_row_bytes; `rows` fills whole panels.
INLINE Panels panels_over(char *memory, int64_t rows, int64_t inputs, int64_t format) {
    int64_t groups = rows * inputs / UNIT;
    float *scales = (float *)(memory + rows * inputs);
    return (Panels){format, inputs, (int32_t *)memory, scales, (int32_t *)scales + groups, scales + 2 * groups};
}

// The larger of the magnitudes of 32 values, or NaN if one of them is not finite.
INLINE float magnitude(const float *values) {
    ints most = {0};
    for (int i = 0; i < UNIT; i += LANES) {
        ints bits = (ints)load(values + i) & INT32_MAX; // magnitudes are ordered as their bits are; NaN above all
        ints mask = bits > most;
        most = (mask & bits) | (~mask & most);
    }
    int32_t part[LANES], top = 0;
    memcpy(part, &most, sizeof most);
    for (int i = 0; i < LANES; i++) top = part[i] > top ? part[i] : top;
    float result;
    memcpy(&result, &top, 4);
    return top < 0x7f800000 ? result : NAN;
}

INLINE void put_bf16(const Panels *p, int64_t row, int64_t input, const float *values) {
    uint16_t codes[UNIT];
    int32_t pairs[UNIT / 2];
    for (int i = 0; i < UNIT; i += LANES) store_bf16(codes + i, load(values + i));
    memcpy(pairs, codes, sizeof pairs);
    int32_t *to = p->words + row / PANEL * panel_words(p) + input / 2 * PANEL + row % PANEL;
    for (int i = 0; i < UNIT / 2; i++) to[i * PANEL] = pairs[i];
}

INLINE void put_int8(const Panels *p, int64_t row, int64_t input, const float *values) {
    const float to_integer = 12582912; // 1.5 * 2^23: the sum's last bits are the nearest integer, ties to even
    float most = magnitude(values), scale = most / 127;
    float inverse = most > 1e-36f ? 127 / most : 0; // below, all codes are 0: the inverse would be infinite
    ints totals = {0};
    int8_t codes[UNIT];
    int32_t quads[UNIT / 4], part[LANES];
    uint32_t total = 0; // of codes of NaN it overflows, beside a scale that is NaN
    for (int i = 0; i < UNIT; i += LANES) {
        floats scaled = load(values + i) * inverse;
        ints code = (ints)(scaled + to_integer) - (ints)all(to_integer);
        totals += code;
        *(bytes *)(codes + i) = __builtin_convertvector(code, bytes);
    }
    memcpy(part, &totals, sizeof totals);
    for (int i = 0; i < LANES; i++) total += part[i];
    memcpy(quads, codes, sizeof quads);
    int32_t *to = p->words + row / PANEL * panel_words(p) + input / 4 * PANEL + row % PANEL;
    for (int i = 0; i < UNIT / 4; i++) to[i * PANEL] = quads[i];
    int64_t group = (row / PANEL * (p->inputs / UNIT) + input / UNIT) * PANEL + row % PANEL;
    p->scales[group] = scale;
    p->starts[group] = -128 * total;
    p->sums[group] = scale * (int32_t)total;
}

// Write 32 values of a row, inputs `input` and on.
INLINE void put(const Panels *p, int64_t row, int64_t input, const float *values) {
    if (p->format == BF16) put_bf16(p, row, input, values);
    else put_int8(p, row, input, values);
}
