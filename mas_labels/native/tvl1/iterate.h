// The iterations between two medians.
//
// The fields are stored scaled, which saves products in the inner loop: with k = tau / theta,
//     U = k u,   P = tau p,   J = k grad I1(x + u0),   RHO_C = k^2 (I1(x + u0) - I0) - J . U0,   INV = -1 / |J|^2,
// one iteration (IPOL equations 15 to 17) reads
//     TH  = clamp(INV (RHO_C + J . U), -lambda theta, lambda theta)
//     U  += TH J + div P
//     P   = (P + tau grad U) / (1 + |grad U|)
#pragma once

#include "warp.h"

namespace {

struct Constants { F l_t, tau, one; };

// Updates U of one vector of pixels; `left11` and `left21` are p11 and p21 of the left neighbours, replaced by its own.
MAS_INLINE Flow primal(const Constants& c, float* b, const float* above, F& left11, F& left21, F& error)
{
    const F p11 = load(b + P11 * STRIPES), p21 = load(b + P21 * STRIPES);
    const F div_p1 = (p11 - left11) + (load(b + P12 * STRIPES) - load(above + P12 * STRIPES));
    const F div_p2 = (p21 - left21) + (load(b + P22 * STRIPES) - load(above + P22 * STRIPES));
    left11 = p11;
    left21 = p21;
    const Flow u = load_flow(b);
    const F j1 = load(b + J1 * STRIPES), j2 = load(b + J2 * STRIPES);
    const F rho = fma(j1, u.u1, fma(j2, u.u2, load(b + RHO_C * STRIPES)));
    const F th = clamp(rho * load(b + INV * STRIPES), c.l_t);
    const F change1 = fma(th, j1, div_p1), change2 = fma(th, j2, div_p2);
    error = fma(change2, change2, fma(change1, change1, error));
    const Flow out = {u.u1 + change1, u.u2 + change2};
    store(b + U1 * STRIPES, out.u1);
    store(b + U2 * STRIPES, out.u2);
    return out;
}

// Updates P of one vector of pixels from U there, to the right and below. A mask clears the gradient at the last column.
MAS_INLINE void dual(const Constants& c, float* b, const Flow& here, const Flow& right, const Flow& below,
                     const float* mask)
{
    F u1x = right.u1 - here.u1, u2x = right.u2 - here.u2;
    if (mask) {
        u1x = keep(u1x, load(mask));
        u2x = keep(u2x, load(mask));
    }
    const F u1y = below.u1 - here.u1, u2y = below.u2 - here.u2;
    const F n1 = c.one + sqrt(fma(u1x, u1x, u1y * u1y));
    const F n2 = c.one + sqrt(fma(u2x, u2x, u2y * u2y));
    const F r1 = reciprocal(n1), r2 = reciprocal(n2);
    store(b + P11 * STRIPES, fma(c.tau, u1x, load(b + P11 * STRIPES)) * r1);
    store(b + P12 * STRIPES, fma(c.tau, u1y, load(b + P12 * STRIPES)) * r1);
    store(b + P21 * STRIPES, fma(c.tau, u2x, load(b + P21 * STRIPES)) * r2);
    store(b + P22 * STRIPES, fma(c.tau, u2y, load(b + P22 * STRIPES)) * r2);
}

// PRIMAL updates U of `row`; DUAL updates P of the row above, one block behind: the neighbours of U are then complete,
// and the two updates are independent for the processor.
template <bool PRIMAL, bool DUAL>
static void sweep_row(const Solver& s, const Grid& grid, float* row, float* above, float* error)
{
    const Constants c = {fill(s.l_t), fill(s.tau), fill(1)};
    const int last = (grid.blocks - 1) * BLOCK;
    for (int part = 0; part < STRIPES; part += F::LANES) {
        float *b = row + part, *a = above + part;
        F sum = load(error + part), left11, left21;
        if constexpr (PRIMAL) {  // left of the start of a stripe is the end of the previous one
            const F keep_left = load(s.left_mask + part);
            left11 = keep(load(b + last + P11 * STRIPES - 1), keep_left);
            left21 = keep(load(b + last + P21 * STRIPES - 1), keep_left);
        }
        Flow here = load_flow(a);
        Flow below = PRIMAL ? primal(c, b, a, left11, left21, sum) : load_flow(b);
        const float* const seam = a + (grid.cols - 1) % grid.blocks * BLOCK;
        for (const float* end = b + last; b < end; b += BLOCK, a += BLOCK) {
            if constexpr (PRIMAL) prefetch(b + PREFETCHED * BLOCK);
            const Flow next = PRIMAL ? primal(c, b + BLOCK, a + BLOCK, left11, left21, sum) : load_flow(b + BLOCK);
            if constexpr (DUAL) {
                const Flow right = load_flow(a + BLOCK);
                dual(c, a, here, right, below, a == seam ? s.seam_mask + part : nullptr);
                here = right;
            }
            below = next;
        }
        if constexpr (DUAL) dual(c, a, here, load_flow(above + part + 1), below, s.last_mask + part);
        store(error + part, sum);
    }
}

// Updates U of row `y` and P of the row above it. The last row is its own lower neighbour: no vertical gradient.
MAS_INLINE void sweep_rows(const Solver& s, const Grid& grid, int y, float* error)
{
    const auto at = [&](int row) { return s.state + row * grid.row_size(); };
    if (y == 0) sweep_row<true, false>(s, grid, at(0), s.zero_row, error);
    else if (y < grid.rows) sweep_row<true, true>(s, grid, at(y), at(y - 1), error);
    else sweep_row<false, true>(s, grid, at(y - 1), at(y - 1), error);
}

constexpr int MAX_TOGETHER = 3;  // with 4 within noise of 3, with 2 a third of the gain is lost

// `count` iterations of the whole level in one pass over memory: each follows one row behind the one before. `errors`
// are their sums of squared changes of U, computed as 16 partial sums, one per stripe, which are added in a fixed
// order: bit-identical for every vector width.
static void iterate(const Solver& s, const Grid& grid, int count, float* errors)
{
    float sums[MAX_TOGETHER][STRIPES] = {};
    for (int front = 0; front < grid.rows + count; ++front)
        for (int n = 0; n < count; ++n)
            if (front - n >= 0 && front - n <= grid.rows) sweep_rows(s, grid, front - n, sums[n]);
    for (int n = 0; n < count; ++n) {
        for (int half = STRIPES / 2; half > 0; half /= 2)
            for (int k = 0; k < half; ++k) sums[n][k] += sums[n][k + half];
        errors[n] = sums[n][0];
    }
}

// Iterates until `error` is at most `threshold`, with up to `max_together` iterations in one pass while the trend of the
// errors says that only the last of them can be the end. Returns false if another one was, since U and P are then
// beyond it: the caller starts the scale again, one by one.
static bool iterate_until(const Solver& s, const Grid& grid, float threshold, int max_together, float& error)
{
    constexpr float MARGIN = 1.5f;  // 6 % of the scales of 240 x 320 start again; with 1.2 it would be 28 %
    float trend = 0;
    for (int done = 0; error > threshold && done < s.options.inner_iterations;) {
        const int left = s.options.inner_iterations - done, most = left < max_together ? left : max_together;
        int count = 1;
        for (float next = error * trend; count < most && next > MARGIN * threshold; next *= trend) ++count;
        float errors[MAX_TOGETHER + 1] = {error};
        iterate(s, grid, count, errors + 1);
        for (int n = 1; n < count; ++n) if (errors[n] <= threshold) return false;
        error = errors[count];
        trend = error < errors[count - 1] ? error / errors[count - 1] : 0;
        done += count;
    }
    return true;
}

}  // namespace
