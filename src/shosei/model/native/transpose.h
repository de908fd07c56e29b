// A square of LANES * LANES words, transposed in registers.
#pragma once
#include "vectors.h"

#ifdef __AVX512F__
typedef __m512i Line;
#define LOW32 _mm512_unpacklo_epi32
#define HIGH32 _mm512_unpackhi_epi32
#define LOW64 _mm512_unpacklo_epi64
#define HIGH64 _mm512_unpackhi_epi64
#else
typedef __m256i Line;
#define LOW32 _mm256_unpacklo_epi32
#define HIGH32 _mm256_unpackhi_epi32
#define LOW64 _mm256_unpacklo_epi64
#define HIGH64 _mm256_unpackhi_epi64
#endif

// Afterwards 128-bit lane n of lines[4 * i + c] has column 4 * n + c of lines 4 * i to 4 * i + 3.
INLINE void transpose_within_lanes(Line *lines) {
    UNROLLED for (int i = 0; i < LANES; i += 4) {
        Line a = LOW32(lines[i], lines[i + 1]), b = HIGH32(lines[i], lines[i + 1]);
        Line c = LOW32(lines[i + 2], lines[i + 3]), d = HIGH32(lines[i + 2], lines[i + 3]);
        lines[i] = LOW64(a, c);
        lines[i + 1] = HIGH64(a, c);
        lines[i + 2] = LOW64(b, d);
        lines[i + 3] = HIGH64(b, d);
    }
}

INLINE void transpose(const int32_t *from, int64_t from_stride, int32_t *to, int64_t to_stride) {
    Line lines[LANES];
    UNROLLED for (int i = 0; i < LANES; i++) memcpy(&lines[i], from + i * from_stride, sizeof lines[i]);
    transpose_within_lanes(lines);
    UNROLLED for (int c = 0; c < 4; c++) {
#ifdef __AVX512F__
        Line even[2], odd[2]; // of the lanes
        UNROLLED for (int i = 0; i < 2; i++) {
            even[i] = _mm512_shuffle_i32x4(lines[8 * i + c], lines[8 * i + 4 + c], 0x88);
            odd[i] = _mm512_shuffle_i32x4(lines[8 * i + c], lines[8 * i + 4 + c], 0xdd);
        }
        Line columns[4] = {
            _mm512_shuffle_i32x4(even[0], even[1], 0x88), _mm512_shuffle_i32x4(odd[0], odd[1], 0x88),
            _mm512_shuffle_i32x4(even[0], even[1], 0xdd), _mm512_shuffle_i32x4(odd[0], odd[1], 0xdd)};
#else
        Line columns[2] = {_mm256_permute2x128_si256(lines[c], lines[4 + c], 0x20),
                           _mm256_permute2x128_si256(lines[c], lines[4 + c], 0x31)};
#endif
        UNROLLED for (int n = 0; n < LANES / 4; n++) memcpy(to + (4 * n + c) * to_stride, &columns[n], sizeof(Line));
    }
}
