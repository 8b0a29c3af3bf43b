// One warp: I1 and its gradient at the end points of the flow u0, and the constants of the data term linearised there.
#pragma once

#include <cfloat>

#include "solver.h"

namespace {

struct Flow { F u1, u2; };

MAS_INLINE Flow load_flow(const float* b) { return {load(b + U1 * STRIPES), load(b + U2 * STRIPES)}; }

// Computes the constants of a vector of pixels from the warped (I, Ix, Iy).
MAS_INLINE void linearise(const Solver& s, float* b, const F* warped, const float* i0, const float* valid)
{
    const F k = fill(s.k), k2 = fill(s.k * s.k), tiny = fill(s.k * s.k * FLT_EPSILON), mask = load(valid);
    const F j1 = keep(warped[1] * k, mask), j2 = keep(warped[2] * k, mask);
    const Flow u = load_flow(b);
    const F difference = keep((warped[0] - load(i0)) * k2, mask);
    const F product = fma(j2, u.u2, j1 * u.u1);
    store(b + J1 * STRIPES, j1);
    store(b + J2 * STRIPES, j2);
    store(b + RHO_C * STRIPES, difference - product);
    store(b + INV * STRIPES, fill(-1) / max(fma(j2, j2, j1 * j1), tiny));
}

// Positions of a vector of pixels in I1: the pixel of the first tap, and the weights of the four taps each way.
struct Positions {
    int32_t pixel[F::LANES];
    F along_cols[4];
    float along_rows[4][F::LANES];
};

MAS_INLINE void locate_pixels(const Solver& s, const TapImage& image, F row, F col, const Flow& u, Positions& out)
{
    const F to_pixels = fill(1 / s.k);
    F along_rows[4];
    const I x = locate(fma(u.u1, to_pixels, col), image.cols, out.along_cols);
    const I y = locate(fma(u.u2, to_pixels, row), image.rows, along_rows);
    for (int k = 0; k < 4; ++k) store(out.along_rows[k], along_rows[k]);
    store(out.pixel, y * fill_int(image.pitch) + x);
}

// Bicubic samples of (I, Ix, Iy, 0) at lane K of each quad of pixels: rows one at a time, then columns as two pairs.
template <int K> MAS_INLINE F sample(const float* first_tap, size_t pitch, const Positions& at)
{
    Quads columns[F::LANES / 4];
#pragma GCC unroll 4
    for (int quad = 0; quad < F::LANES / 4; ++quad) {
        const int lane = 4 * quad + K;
        const float* corner = first_tap + (ptrdiff_t)at.pixel[lane] * TAP_CHANNELS;
        Quads sum = times(corner, at.along_rows[0][lane]);
#pragma GCC unroll 3
        for (int k = 1; k < 4; ++k) sum = fma(corner + k * pitch, at.along_rows[k][lane], sum);
        columns[quad] = sum;
    }
    F c[4];
    gather_quads(columns, c);
    const F even = fma(c[2], spread<K>(at.along_cols[2]), c[0] * spread<K>(at.along_cols[0]));
    return even + fma(c[3], spread<K>(at.along_cols[3]), c[1] * spread<K>(at.along_cols[1]));
}

// Positions are computed one vector ahead of the samples: a processor looks ahead by about one vector's instructions, and
// would wait for the chain of position, samples and constants (AVX-512: -22 % of the warp's time, AVX2: -12 %).
static void warp_row(const Solver& s, const Grid& grid, const TapImage& image, int row)
{
    constexpr int PARTS = STRIPES / F::LANES;
    const size_t pitch = image.pitch * TAP_CHANNELS;
    const float* first_tap = image.data - pitch - TAP_CHANNELS;
    const float* i0 = s.picture0 + (size_t)row * grid.blocks * STRIPES;
    float* state = s.state + row * grid.row_size();
    const auto fields = [&](int n) { return state + n / PARTS * BLOCK + n % PARTS * F::LANES; };
    Positions ring[2];
    const auto locate_vector = [&](int n) {
        const F col = load(s.lane_start + n % PARTS * F::LANES) + fill((float)(n / PARTS));
        locate_pixels(s, image, fill((float)row), col, load_flow(fields(n)), ring[n % 2]);
        __asm__("" : "+m"(ring[n % 2]));  // to be loaded from memory: gcc would extract lanes from registers, slowly
    };
    locate_vector(0);
    for (int n = 0; n < grid.blocks * PARTS; ++n) {
        if (n + 1 < grid.blocks * PARTS) locate_vector(n + 1);
        const Positions& at = ring[n % 2];
        F warped[4] = {sample<0>(first_tap, pitch, at), sample<1>(first_tap, pitch, at),
                       sample<2>(first_tap, pitch, at), sample<3>(first_tap, pitch, at)};
        transpose_quads(warped);
        linearise(s, fields(n), warped, i0 + n * F::LANES, s.valid_mask + n * F::LANES);
    }
}

}  // namespace
