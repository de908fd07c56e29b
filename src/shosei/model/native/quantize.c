// Weights in 4 bits, rounded as model/int4.py rounds them: the same operations in the same order, so the same bits.
#include "vectors.h"

enum { REFITS = 2, PARTS = UNIT / LANES };

// 32 weights of one output: what they are rounded to, and how far that is off.
typedef struct {
    floats codes[PARTS]; // from -8 to 7
    float scale, offset, error;
} Group;

INLINE float sum_of(const floats *parts) {
    floats sums[PARTS];
    memcpy(sums, parts, sizeof sums);
    UNROLLED for (int n = PARTS / 2; n; n /= 2)
        for (int i = 0; i < n; i++) sums[i] += sums[i + n];
    return sum(sums[0]);
}

INLINE uint16_t bf16_of(float x) { return to_bf16(all(x))[0]; }

INLINE float as_stored(float x) {
    uint32_t bits = (uint32_t)bf16_of(x) << 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

INLINE Group rounded(const floats *values, float scale, float offset) {
    const float to_integer = 12582912; // 1.5 * 2^23: the sum's last bits are the nearest integer, ties to even
    Group g = {.scale = scale, .offset = offset};
    floats squares[PARTS];
    UNROLLED for (int i = 0; i < PARTS; i++) {
        floats code = -larger(-larger((values[i] - offset) / scale, all(-8)), all(-7));
        g.codes[i] = (code + to_integer) - to_integer;
        floats error = g.codes[i] * scale + offset - values[i];
        squares[i] = error * error;
    }
    g.error = sum_of(squares);
    return g;
}

// First the codes span the values' range.
INLINE Group spanning(const floats *values, float mean) {
    floats most = values[0], least = -values[0]; // negated
    UNROLLED for (int i = 1; i < PARTS; i++) most = larger(values[i], most), least = larger(-values[i], least);
    float low = -largest(least), span = (largest(most) - low) / 15;
    if (mean != mean) low = span = mean; // one of them is not finite, and none of the weights will be
    float scale = as_stored(span < 1e-30f ? 1e-30f : span);
    return rounded(values, scale, as_stored(low + 8 * scale));
}

// Scale and offset by simple linear regression of the values on their codes, and the codes rounded again.
INLINE Group fitted(const floats *values, float mean, const Group *before) {
    floats with_values[PARTS], squares[PARTS];
    float centre = sum_of(before->codes) / UNIT;
    UNROLLED for (int i = 0; i < PARTS; i++) {
        floats spread = before->codes[i] - centre;
        with_values[i] = spread * values[i];
        squares[i] = spread * spread;
    }
    float scale = as_stored(sum_of(with_values) / sum_of(squares));
    return rounded(values, scale, as_stored(mean - scale * centre));
}

INLINE Group quantized(const uint16_t *weights) {
    floats values[PARTS];
    UNROLLED for (int i = 0; i < PARTS; i++) values[i] = load_bf16(weights + i * LANES);
    float mean = sum_of(values) / UNIT;
    Group best = spanning(values, mean);
    for (int n = 0; n < REFITS; n++) {
        Group again = fitted(values, mean, &best);
        if (again.error < best.error) best = again;
    }
    return best;
}

// To its place among the 32 of a unit.
static void place(const Group *g, int64_t output, char *group) {
    int8_t codes[UNIT];
    UNROLLED for (int i = 0; i < PARTS; i++)
        *(bytes *)(codes + i * LANES) = __builtin_convertvector(g->codes[i] + 8, bytes);
    char *pairs = group + output / 16 * 64 + output % 16 * 4;
    for (int i = 0; i < 4; i++) {
        uint32_t low, high;
        memcpy(&low, codes + 8 * i, 4);
        memcpy(&high, codes + 8 * i + 4, 4);
        low |= high << 4;
        memcpy(pairs + i * 128, &low, 4);
    }
    const uint16_t scale = bf16_of(g->scale), offset = bf16_of(g->offset);
    memcpy(group + 512 + output * 2, &scale, 2);
    memcpy(group + 576 + output * 2, &offset, 2);
}

void native_pack_int4(int64_t units, int64_t inputs, const uint16_t *weights, char *to, int64_t stride) {
    for (int64_t unit = 0; unit < units; unit++, weights += UNIT * inputs, to += stride)
        for (int64_t group = 0; group < inputs / UNIT; group++)
            for (int64_t output = 0; output < UNIT; output++) {
                Group g = quantized(weights + output * inputs + group * UNIT);
                place(&g, output, to + group * UNIT * UNIT * 5 / 8);
            }
}
