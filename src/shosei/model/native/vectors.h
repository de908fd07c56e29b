// Vectors of floats as wide as the processor's, and what all other files do with them. All widths here are multiples of
// UNIT, so that no loop has a rest.
#pragma once
#include "native.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif
#define PREFETCH(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
#ifdef __AVX512F__
enum { LANES = 16 };
#else
enum { LANES = 8 };
#endif
// Unaligned, and allowed to alias what they are read from.
#define VECTOR(type) type __attribute__((vector_size(LANES * sizeof(type)), aligned(1), may_alias))
typedef VECTOR(float) floats;
typedef VECTOR(int32_t) ints;
typedef VECTOR(uint32_t) words;
typedef VECTOR(uint16_t) halves;
typedef VECTOR(int8_t) bytes;

INLINE floats load(const float *p) { return *(const floats *)p; }
INLINE void store(float *p, floats v) { *(floats *)p = v; }
INLINE floats all(float x) { return x - (floats){0}; }

// bfloat16 to float32, exactly.
INLINE floats load_bf16(const uint16_t *p) {
    return (floats)(__builtin_convertvector(*(const halves *)p, words) << 16);
}

// float32 to bfloat16 in the low half of each word: to the nearest, ties to even; NaN stays NaN.
INLINE words to_bf16(floats v) {
    words u = (words)v;
    words rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    words is_nan = (words)(v != v);
    return (is_nan & 0x7fff) | (~is_nan & rounded);
}

INLINE void store_bf16(uint16_t *p, floats v) { *(halves *)p = __builtin_convertvector(to_bf16(v), halves); }

INLINE float sum(floats v) { // in halves, the same order everywhere
    float part[LANES];
    memcpy(part, &v, sizeof v);
    for (int n = LANES / 2; n; n /= 2)
        for (int i = 0; i < n; i++) part[i] += part[i + n];
    return part[0];
}

INLINE floats larger(floats a, floats b) { // b where a is NaN
    ints mask = a > b;
    return (floats)((mask & (ints)a) | (~mask & (ints)b));
}

INLINE float largest(floats v) {
    float part[LANES];
    memcpy(part, &v, sizeof v);
    for (int n = LANES / 2; n; n /= 2)
        for (int i = 0; i < n; i++) part[i] = part[i] > part[i + n] ? part[i] : part[i + n];
    return part[0];
}

// e^x to 2.5e-7 of it, from e^-87 to e^88 and beyond these 0 and 2e38; exact at 0; NaN stays NaN.
// Cody and Waite's reduction by ln 2 in two parts, then Taylor's series on [-ln 2 / 2, ln 2 / 2].
INLINE floats exponential(floats x) {
    const float log2e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    ints below = x < -87.0f;
    x = (floats)((ints)x & ~(x > 88.0f)) + (floats)((ints)all(88.0f) & (x > 88.0f));
    floats n = x * log2e;
    ints power = __builtin_convertvector(n + (floats)((ints)all(0.5f) | ((ints)n & INT32_MIN)), ints);
    n = __builtin_convertvector(power, floats);
    floats r = (x - n * ln2_high) - n * ln2_low;
    floats series = 1 + r * (1 + r * (0.5f + r * (1 / 6.0f + r * (1 / 24.0f + r * (1 / 120.0f + r * (1 / 720.0f))))));
    return (floats)((ints)(series * (floats)((power + 127) << 23)) & ~below);
}
