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

// Floats to be sorted: integers of the same order, which is faster than floats, and has -0 before +0 in every build.
using Ordered8 = I8;
MAS_INLINE __m256i flip_if_negative(__m256i a)
{
    return _mm256_xor_si256(a, _mm256_and_si256(_mm256_srai_epi32(a, 31), _mm256_set1_epi32(0x7fffffff)));
}
MAS_INLINE Ordered8 to_ordered(F8 a) { return {flip_if_negative(_mm256_castps_si256(a.v))}; }
MAS_INLINE F8 from_ordered(Ordered8 a) { return {_mm256_castsi256_ps(flip_if_negative(a.v))}; }

// A quad is four adjacent lanes. `spread` copies lane K of each quad to the whole quad.
template <int K> MAS_INLINE F8 spread(F8 a) { return {_mm256_permute_ps(a.v, K * 0x55)}; }
MAS_INLINE void transpose_quads(F8* q)  // vector i, lane k of a quad becomes vector k, lane i of it
{
    const __m256 low01 = _mm256_unpacklo_ps(q[0].v, q[1].v), low23 = _mm256_unpacklo_ps(q[2].v, q[3].v);
    const __m256 high01 = _mm256_unpackhi_ps(q[0].v, q[1].v), high23 = _mm256_unpackhi_ps(q[2].v, q[3].v);
    q[0].v = _mm256_shuffle_ps(low01, low23, 0x44);
    q[1].v = _mm256_shuffle_ps(low01, low23, 0xee);
    q[2].v = _mm256_shuffle_ps(high01, high23, 0x44);
    q[3].v = _mm256_shuffle_ps(high01, high23, 0xee);
}
MAS_INLINE void exchange_halves(F8& a, F8& b)  // the lower halves to `a`, the upper halves to `b`
{
    const __m256 lower = _mm256_permute2f128_ps(a.v, b.v, 0x20);
    b.v = _mm256_permute2f128_ps(a.v, b.v, 0x31);
    a.v = lower;
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
using Ordered8 = I8;
MAS_INLINE I8 flip_if_negative(const I8& a) { I8 out; MAS_EACH(a.v[k] ^ ((a.v[k] >> 31) & 0x7fffffff)); }
MAS_INLINE Ordered8 to_ordered(const F8& a)
{
    I8 bits;
    std::memcpy(bits.v, a.v, sizeof a.v);
    return flip_if_negative(bits);
}
MAS_INLINE F8 from_ordered(const Ordered8& a)
{
    F8 out;
    std::memcpy(out.v, flip_if_negative(a).v, sizeof out.v);
    return out;
}
template <int K> MAS_INLINE F8 spread(const F8& a) { F8 out; MAS_EACH(a.v[k / 4 * 4 + K]); }
MAS_INLINE void exchange(float& a, float& b) { const float swap = a; a = b; b = swap; }
MAS_INLINE void transpose_quads(F8* q)
{
    for (int k = 0; k < 8; ++k)
        for (int i = 0; i < k % 4; ++i) exchange(q[i].v[k], q[k % 4].v[k / 4 * 4 + i]);
}
MAS_INLINE void exchange_halves(F8& a, F8& b) { for (int k = 0; k < 4; ++k) exchange(a.v[k + 4], b.v[k]); }
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
MAS_INLINE F16 clamp(F16 a, F16 limit) { return {_mm512_range_ps(a.v, limit.v, 0x2)}; }  // sign of a, smaller size
MAS_INLINE F16 keep(F16 a, F16 mask)
{
    return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a.v), _mm512_castps_si512(mask.v)))};
}
MAS_INLINE I16 truncate(F16 a) { return {_mm512_cvttps_epi32(a.v)}; }
MAS_INLINE F16 to_float(I16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
MAS_INLINE void fill(I16& out, int32_t s) { out.v = _mm512_set1_epi32(s); }
MAS_INLINE I16 operator+(I16 a, I16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
MAS_INLINE I16 operator*(I16 a, I16 b) { return {_mm512_mullo_epi32(a.v, b.v)}; }

// Floats to be sorted: `range` has -0 before +0, and runs on both ports of a Xeon where minima of integers run on one.
struct Ordered16 { __m512 v; static constexpr int LANES = 16; };
MAS_INLINE Ordered16 to_ordered(F16 a) { return {a.v}; }
MAS_INLINE F16 from_ordered(Ordered16 a) { return {a.v}; }
MAS_INLINE void load(Ordered16& out, const int32_t* p) { out.v = _mm512_loadu_ps(p); }
MAS_INLINE void store(int32_t* p, Ordered16 a) { _mm512_storeu_ps(p, a.v); }
MAS_INLINE Ordered16 min(Ordered16 a, Ordered16 b) { return {_mm512_range_ps(a.v, b.v, 0x4)}; }
MAS_INLINE Ordered16 max(Ordered16 a, Ordered16 b) { return {_mm512_range_ps(a.v, b.v, 0x5)}; }

// 1 / a for a from 1 to 2^100 with the bits of a division, but without a Xeon's divider (iterations: -16 % of their time).
// The seed is good to 2^-14, and a Newton step, rounded upwards, to one unit in the last place. Then the next step rounds
// correctly (Markstein 1990), with one exception, a mantissa of ones, for which `close` has to be above 1 / a, as it is.
MAS_INLINE F16 reciprocal(F16 a)
{
    const __m512 one = _mm512_set1_ps(1), seed = _mm512_rcp14_ps(a.v);
    const __m512 close = _mm512_fmadd_round_ps(seed, _mm512_fnmadd_ps(a.v, seed, one), seed,
                                               _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
    return {_mm512_fmadd_ps(close, _mm512_fnmadd_ps(a.v, close, one), close)};
}
template <int K> MAS_INLINE F16 spread(F16 a) { return {_mm512_permute_ps(a.v, K * 0x55)}; }
MAS_INLINE void transpose_quads(F16* q)
{
    const __m512 low01 = _mm512_unpacklo_ps(q[0].v, q[1].v), low23 = _mm512_unpacklo_ps(q[2].v, q[3].v);
    const __m512 high01 = _mm512_unpackhi_ps(q[0].v, q[1].v), high23 = _mm512_unpackhi_ps(q[2].v, q[3].v);
    q[0].v = _mm512_shuffle_ps(low01, low23, 0x44);
    q[1].v = _mm512_shuffle_ps(low01, low23, 0xee);
    q[2].v = _mm512_shuffle_ps(high01, high23, 0x44);
    q[3].v = _mm512_shuffle_ps(high01, high23, 0xee);
}

using F = F16;
using I = I16;
using Ordered = Ordered16;

// Sixteen adjacent floats: four quads.
struct Quads { F16 v; };
MAS_INLINE Quads times(const float* p, float weight)
{
    return {{_mm512_mul_ps(_mm512_loadu_ps(p), _mm512_set1_ps(weight))}};
}
MAS_INLINE Quads fma(const float* p, float weight, Quads c)
{
    return {{_mm512_fmadd_ps(_mm512_loadu_ps(p), _mm512_set1_ps(weight), c.v.v)}};
}
MAS_INLINE void gather_quads(const Quads* in, F16* out)  // quad i of in[k] becomes quad k of out[i]
{
    const __m512 a = in[0].v.v, b = in[1].v.v, c = in[2].v.v, d = in[3].v.v;
    const __m512 left01 = _mm512_shuffle_f32x4(a, b, 0x44), right01 = _mm512_shuffle_f32x4(a, b, 0xee);
    const __m512 left23 = _mm512_shuffle_f32x4(c, d, 0x44), right23 = _mm512_shuffle_f32x4(c, d, 0xee);
    out[0].v = _mm512_shuffle_f32x4(left01, left23, 0x88);
    out[1].v = _mm512_shuffle_f32x4(left01, left23, 0xdd);
    out[2].v = _mm512_shuffle_f32x4(right01, right23, 0x88);
    out[3].v = _mm512_shuffle_f32x4(right01, right23, 0xdd);
}
#else
using F = F8;
using I = I8;
using Ordered = Ordered8;

struct Quads { F8 left, right; };
MAS_INLINE Quads times(const float* p, float weight)
{
    F8 w, left, right;
    fill(w, weight); load(left, p); load(right, p + 8);
    return {left * w, right * w};
}
MAS_INLINE Quads fma(const float* p, float weight, const Quads& c)
{
    F8 w, left, right;
    fill(w, weight); load(left, p); load(right, p + 8);
    return {fma(left, w, c.left), fma(right, w, c.right)};
}
MAS_INLINE void gather_quads(const Quads* in, F8* out)
{
    out[0] = in[0].left; out[1] = in[1].left; out[2] = in[0].right; out[3] = in[1].right;
    exchange_halves(out[0], out[1]);
    exchange_halves(out[2], out[3]);
}
#endif

MAS_INLINE F8 clamp(F8 a, F8 limit) { F8 zero; fill(zero, 0); return max(min(a, limit), zero - limit); }  // limit > 0
MAS_INLINE F8 reciprocal(F8 a) { F8 one; fill(one, 1); return one / a; }
MAS_INLINE F load(const float* p) { F out; load(out, p); return out; }
MAS_INLINE Ordered load_ordered(const int32_t* p) { Ordered out; load(out, p); return out; }
MAS_INLINE I fill_int(int32_t s) { I out; fill(out, s); return out; }
MAS_INLINE F fill(float s) { F out; fill(out, s); return out; }

}  // namespace
