// One warp: I1 and its gradient at the end points of the flow u0, and the constants of the data term linearised there.
#pragma once

#include <cfloat>

#include "solver.h"

namespace {

struct Flow { F u1, u2; };

MAS_INLINE Flow load_flow(const float* b) { return {load(b + U1 * STRIPES), load(b + U2 * STRIPES)}; }

// Computes the constants of one block of 16 pixels from the warped I1 and its gradient.
MAS_INLINE void linearise(const Solver& s, float* b, const float (*warped)[TAP_CHANNELS], const float* i0,
                          const float* valid)
{
    const F k = fill(s.k), k2 = fill(s.k * s.k), tiny = fill(s.k * s.k * FLT_EPSILON);
    for (int part = 0; part < STRIPES; part += F::LANES) {
        F channel[TAP_CHANNELS];  // I, Ix, Iy
        load_quads(warped[part], channel);
        const F mask = load(valid + part);
        const F j1 = keep(channel[1] * k, mask), j2 = keep(channel[2] * k, mask);
        const F u1 = load(b + U1 * STRIPES + part), u2 = load(b + U2 * STRIPES + part);
        const F difference = keep((channel[0] - load(i0 + part)) * k2, mask);
        const F product = fma(j2, u2, j1 * u1);
        store(b + J1 * STRIPES + part, j1);
        store(b + J2 * STRIPES + part, j2);
        store(b + RHO_C * STRIPES + part, difference - product);
        store(b + INV * STRIPES + part, fill(-1) / max(fma(j2, j2, j1 * j1), tiny));
    }
}

// Positions of a block's 16 pixels in I1: the pixel of the first tap, and the weights along columns and rows.
struct Positions {
    int32_t pixel[STRIPES];
    float along_cols[4 * STRIPES], along_rows[4 * STRIPES];
};

MAS_INLINE void locate_block(const Solver& s, const Grid& grid, int row, int block, int pitch, const float* b,
                             Positions& out)
{
    const F to_pixels = fill(1 / s.k);
    for (int part = 0; part < STRIPES; part += F::LANES) {
        const Flow u = load_flow(b + part);
        const F col = load(s.lane_start + part) + fill((float)block);
        const I x = locate(fma(u.u1, to_pixels, col), grid.cols, out.along_cols + part);
        const I y = locate(fma(u.u2, to_pixels, fill((float)row)), grid.rows, out.along_rows + part);
        store(out.pixel + part, y * fill_int(pitch) + x);
    }
}

static void warp_row(const Solver& s, const Grid& grid, const TapImage& image, int row)
{
    Positions at;
    float warped[STRIPES][TAP_CHANNELS];
    float* b = s.state + row * grid.row_size();
    const float* i0 = s.picture0 + (size_t)row * grid.blocks * STRIPES;
    const float* first_tap = image.data - (size_t)(image.pitch + 1) * TAP_CHANNELS;
    for (int block = 0; block < grid.blocks; ++block, b += BLOCK, i0 += STRIPES) {
        locate_block(s, grid, row, block, image.pitch, b, at);
        for (int lane = 0; lane < STRIPES; ++lane)
            sample(first_tap + (ptrdiff_t)at.pixel[lane] * TAP_CHANNELS, image.pitch * TAP_CHANNELS,
                   at.along_cols + lane, at.along_rows + lane, warped[lane]);
        linearise(s, b, warped, i0, s.valid_mask + block * STRIPES);
    }
}

}  // namespace
