// Vectors of floats and integers for the three builds of tvl1.cpp: the only code that depends on the instruction set.
//
// Every operation is lane-wise and correctly rounded (IEEE 754), so that all builds are bit-identical. `fma` rounds
// once in every build: in hardware, or by an exact emulation.
// MAS_ISA_AVX512, MAS_ISA_AVX2 or neither (portable) is set by setup.py.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(MAS_ISA_AVX512) || defined(MAS_ISA_AVX2)
#include <immintrin.h>
#endif

#define MAS_INLINE static inline __attribute__((always_inline))

namespace {

// ---------------------------------------------------------------- 8 lanes: AVX2, or plain C++
#if defined(MAS_ISA_AVX512) || defined(MAS_ISA_AVX2)

struct F8 { __m256 v; static constexpr int LANES = 8; };
struct I8 { __m256i v; static constexpr int LANES = 8; };

MAS_INLINE void load(F8& out, const float* p) { out.v = _mm256_loadu_ps(p); }
MAS_INLINE void load(I8& out, const int32_t* p) { out.v = _mm256_loadu_si256((const __m256i*)p); }
MAS_INLINE void fill(F8& out, float s) { out.v = _mm256_set1_ps(s); }
MAS_INLINE void store(float* p, F8 a) { _mm256_storeu_ps(p, a.v); }
MAS_INLINE void store(int32_t* p, I8 a) { _mm256_storeu_si256((__m256i*)p, a.v); }
MAS_INLINE F8 operator+(F8 a, F8 b) { return {_mm256_add_ps(a.v, b.v)}; }
MAS_INLINE F8 operator-(F8 a, F8 b) { return {_mm256_sub_ps(a.v, b.v)}; }
MAS_INLINE F8 operator*(F8 a, F8 b) { return {_mm256_mul_ps(a.v, b.v)}; }
MAS_INLINE F8 operator/(F8 a, F8 b) { return {_mm256_div_ps(a.v, b.v)}; }
MAS_INLINE F8 fma(F8 a, F8 b, F8 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
MAS_INLINE F8 sqrt(F8 a) { return {_mm256_sqrt_ps(a.v)}; }
MAS_INLINE F8 min(F8 a, F8 b) { return {_mm256_min_ps(a.v, b.v)}; }  // a < b ? a : b
MAS_INLINE F8 max(F8 a, F8 b) { return {_mm256_max_ps(a.v, b.v)}; }  // a > b ? a : b
MAS_INLINE F8 keep(F8 a, F8 mask) { return {_mm256_and_ps(a.v, mask.v)}; }  // mask: all bits or none
MAS_INLINE I8 truncate(F8 a) { return {_mm256_cvttps_epi32(a.v)}; }
MAS_INLINE F8 to_float(I8 a) { return {_mm256_cvtepi32_ps(a.v)}; }
MAS_INLINE I8 min(I8 a, I8 b) { return {_mm256_min_epi32(a.v, b.v)}; }
MAS_INLINE I8 max(I8 a, I8 b) { return {_mm256_max_epi32(a.v, b.v)}; }
MAS_INLINE void fill(I8& out, int32_t s) { out.v = _mm256_set1_epi32(s); }
MAS_INLINE I8 operator+(I8 a, I8 b) { return {_mm256_add_epi32(a.v, b.v)}; }
MAS_INLINE I8 operator*(I8 a, I8 b) { return {_mm256_mullo_epi32(a.v, b.v)}; }
MAS_INLINE I8 flip_if_negative(I8 a)  // converts between the bits of floats and integers of the same order
{
    __m256i flip = _mm256_and_si256(_mm256_srai_epi32(a.v, 31), _mm256_set1_epi32(0x7fffffff));
    return {_mm256_xor_si256(a.v, flip)};
}
MAS_INLINE F8 fill_halves(float lower, float upper)
{
    return {_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_set1_ps(lower)), _mm_set1_ps(upper), 1)};
}
MAS_INLINE void store_sum_of_halves(float* p, F8 a)
{
    _mm_storeu_ps(p, _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1)));
}
MAS_INLINE void load_bits(I8& out, const float* p) { out.v = _mm256_castps_si256(_mm256_loadu_ps(p)); }
MAS_INLINE void store_bits(float* p, I8 a) { _mm256_storeu_ps(p, _mm256_castsi256_ps(a.v)); }
MAS_INLINE void load_quads(const float* p, F8* out)  // transposes 4 channels of 8 pixels to 4 vectors of 8 lanes
{
    __m256 q[4];
    for (int k = 0; k < 4; ++k)
        q[k] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + 4 * k)), _mm_loadu_ps(p + 4 * k + 16), 1);
    const __m256 low01 = _mm256_unpacklo_ps(q[0], q[1]), low23 = _mm256_unpacklo_ps(q[2], q[3]);
    const __m256 high01 = _mm256_unpackhi_ps(q[0], q[1]), high23 = _mm256_unpackhi_ps(q[2], q[3]);
    out[0].v = _mm256_shuffle_ps(low01, low23, 0x44);
    out[1].v = _mm256_shuffle_ps(low01, low23, 0xee);
    out[2].v = _mm256_shuffle_ps(high01, high23, 0x44);
    out[3].v = _mm256_shuffle_ps(high01, high23, 0xee);
}

#else  // portable: loops over a fixed number of lanes, which compilers turn into SSE2 or NEON

MAS_INLINE float fma_one_rounding(float a, float b, float c)
{
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    // The product is exact in double. The sum is rounded to odd (Boldo and Melquiond 2008), so that rounding it to
    // float gives the correctly rounded exact value.
    const double product = (double)a * (double)b, addend = (double)c;
    double sum = product + addend;
    const double shift = sum - product;
    const double error = (product - (sum - shift)) + (addend - shift);
    int64_t bits;
    std::memcpy(&bits, &sum, sizeof bits);
    const int64_t outwards = (error > 0) == (sum > 0) ? 1 : -1;
    bits += (error != 0 && (bits & 1) == 0) ? outwards : 0;
    std::memcpy(&sum, &bits, sizeof bits);
    return (float)sum;
#endif
}

struct F8 { float v[8]; static constexpr int LANES = 8; };
struct I8 { int32_t v[8]; static constexpr int LANES = 8; };

#define MAS_EACH(expression) for (int k = 0; k < 8; ++k) { out.v[k] = (expression); } return out
MAS_INLINE void load(F8& out, const float* p) { std::memcpy(out.v, p, sizeof out.v); }
MAS_INLINE void load(I8& out, const int32_t* p) { std::memcpy(out.v, p, sizeof out.v); }
MAS_INLINE void fill(F8& out, float s) { for (int k = 0; k < 8; ++k) out.v[k] = s; }
MAS_INLINE void store(float* p, const F8& a) { std::memcpy(p, a.v, sizeof a.v); }
MAS_INLINE void store(int32_t* p, const I8& a) { std::memcpy(p, a.v, sizeof a.v); }
MAS_INLINE F8 operator+(const F8& a, const F8& b) { F8 out; MAS_EACH(a.v[k] + b.v[k]); }
MAS_INLINE F8 operator-(const F8& a, const F8& b) { F8 out; MAS_EACH(a.v[k] - b.v[k]); }
MAS_INLINE F8 operator*(const F8& a, const F8& b) { F8 out; MAS_EACH(a.v[k] * b.v[k]); }
MAS_INLINE F8 operator/(const F8& a, const F8& b) { F8 out; MAS_EACH(a.v[k] / b.v[k]); }
MAS_INLINE F8 fma(const F8& a, const F8& b, const F8& c) { F8 out; MAS_EACH(fma_one_rounding(a.v[k], b.v[k], c.v[k])); }
MAS_INLINE F8 sqrt(const F8& a) { F8 out; MAS_EACH(__builtin_sqrtf(a.v[k])); }
MAS_INLINE F8 min(const F8& a, const F8& b) { F8 out; MAS_EACH(a.v[k] < b.v[k] ? a.v[k] : b.v[k]); }
MAS_INLINE F8 max(const F8& a, const F8& b) { F8 out; MAS_EACH(a.v[k] > b.v[k] ? a.v[k] : b.v[k]); }
MAS_INLINE I8 truncate(const F8& a) { I8 out; MAS_EACH((int32_t)a.v[k]); }
MAS_INLINE F8 to_float(const I8& a) { F8 out; MAS_EACH((float)a.v[k]); }
MAS_INLINE I8 min(const I8& a, const I8& b) { I8 out; MAS_EACH(a.v[k] < b.v[k] ? a.v[k] : b.v[k]); }
MAS_INLINE I8 max(const I8& a, const I8& b) { I8 out; MAS_EACH(a.v[k] > b.v[k] ? a.v[k] : b.v[k]); }
MAS_INLINE void fill(I8& out, int32_t s) { for (int k = 0; k < 8; ++k) out.v[k] = s; }
MAS_INLINE I8 operator+(const I8& a, const I8& b) { I8 out; MAS_EACH(a.v[k] + b.v[k]); }
MAS_INLINE I8 operator*(const I8& a, const I8& b) { I8 out; MAS_EACH(a.v[k] * b.v[k]); }
MAS_INLINE I8 flip_if_negative(const I8& a) { I8 out; MAS_EACH(a.v[k] ^ ((a.v[k] >> 31) & 0x7fffffff)); }
MAS_INLINE F8 fill_halves(float lower, float upper) { F8 out; MAS_EACH(k < 4 ? lower : upper); }
MAS_INLINE void store_sum_of_halves(float* p, const F8& a) { for (int k = 0; k < 4; ++k) p[k] = a.v[k] + a.v[k + 4]; }
MAS_INLINE void load_bits(I8& out, const float* p) { std::memcpy(out.v, p, sizeof out.v); }
MAS_INLINE void store_bits(float* p, const I8& a) { std::memcpy(p, a.v, sizeof a.v); }
MAS_INLINE void load_quads(const float* p, F8* out)
{
    for (int k = 0; k < 32; ++k) out[k % 4].v[k / 4] = p[k];
}
MAS_INLINE F8 keep(const F8& a, const F8& mask)
{
    uint32_t bits[8], mask_bits[8];
    std::memcpy(bits, a.v, sizeof bits);
    std::memcpy(mask_bits, mask.v, sizeof bits);
    for (int k = 0; k < 8; ++k) bits[k] &= mask_bits[k];
    F8 out;
    std::memcpy(out.v, bits, sizeof bits);
    return out;
}
#undef MAS_EACH

#endif

// ---------------------------------------------------------------- the widest vector of the build
#if defined(MAS_ISA_AVX512)

struct F16 { __m512 v; static constexpr int LANES = 16; };
struct I16 { __m512i v; static constexpr int LANES = 16; };

MAS_INLINE void load(F16& out, const float* p) { out.v = _mm512_loadu_ps(p); }
MAS_INLINE void load(I16& out, const int32_t* p) { out.v = _mm512_loadu_si512(p); }
MAS_INLINE void fill(F16& out, float s) { out.v = _mm512_set1_ps(s); }
MAS_INLINE void store(float* p, F16 a) { _mm512_storeu_ps(p, a.v); }
MAS_INLINE void store(int32_t* p, I16 a) { _mm512_storeu_si512(p, a.v); }
MAS_INLINE F16 operator+(F16 a, F16 b) { return {_mm512_add_ps(a.v, b.v)}; }
MAS_INLINE F16 operator-(F16 a, F16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
MAS_INLINE F16 operator*(F16 a, F16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
MAS_INLINE F16 operator/(F16 a, F16 b) { return {_mm512_div_ps(a.v, b.v)}; }
MAS_INLINE F16 fma(F16 a, F16 b, F16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
MAS_INLINE F16 sqrt(F16 a) { return {_mm512_sqrt_ps(a.v)}; }
MAS_INLINE F16 min(F16 a, F16 b) { return {_mm512_min_ps(a.v, b.v)}; }
MAS_INLINE F16 max(F16 a, F16 b) { return {_mm512_max_ps(a.v, b.v)}; }
MAS_INLINE F16 keep(F16 a, F16 mask)
{
    return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a.v), _mm512_castps_si512(mask.v)))};
}
MAS_INLINE I16 truncate(F16 a) { return {_mm512_cvttps_epi32(a.v)}; }
MAS_INLINE F16 to_float(I16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
MAS_INLINE I16 min(I16 a, I16 b) { return {_mm512_min_epi32(a.v, b.v)}; }
MAS_INLINE I16 max(I16 a, I16 b) { return {_mm512_max_epi32(a.v, b.v)}; }
MAS_INLINE void fill(I16& out, int32_t s) { out.v = _mm512_set1_epi32(s); }
MAS_INLINE I16 operator+(I16 a, I16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
MAS_INLINE I16 operator*(I16 a, I16 b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
MAS_INLINE I16 flip_if_negative(I16 a)
{
    __m512i flip = _mm512_and_si512(_mm512_srai_epi32(a.v, 31), _mm512_set1_epi32(0x7fffffff));
    return {_mm512_xor_si512(a.v, flip)};
}
MAS_INLINE void load_bits(I16& out, const float* p) { out.v = _mm512_castps_si512(_mm512_loadu_ps(p)); }
MAS_INLINE void store_bits(float* p, I16 a) { _mm512_storeu_ps(p, _mm512_castsi512_ps(a.v)); }
MAS_INLINE void load_quads(const float* p, F16* out)
{
    F8 low[4], high[4];
    load_quads(p, low);
    load_quads(p + 32, high);
    for (int k = 0; k < 4; ++k) out[k].v = _mm512_insertf32x8(_mm512_castps256_ps512(low[k].v), high[k].v, 1);
}

using F = F16;
using I = I16;
#else
using F = F8;
using I = I8;
#endif

MAS_INLINE F load(const float* p) { F out; load(out, p); return out; }
MAS_INLINE I load(const int32_t* p) { I out; load(out, p); return out; }
MAS_INLINE I load_bits(const float* p) { I out; load_bits(out, p); return out; }
MAS_INLINE F8 load8(const float* p) { F8 out; load(out, p); return out; }
MAS_INLINE I fill_int(int32_t s) { I out; fill(out, s); return out; }
MAS_INLINE F fill(float s) { F out; fill(out, s); return out; }
MAS_INLINE F8 fill8(float s) { F8 out; fill(out, s); return out; }

}  // namespace
