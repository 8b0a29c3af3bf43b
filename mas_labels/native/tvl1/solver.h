// The state of one call: options, levels of the pyramid, and the parts of the workspace.
#pragma once

#include "images.h"
#include "median.h"

namespace {

constexpr int MAX_LEVELS = 32, MIN_SIDE = 16;

struct Level { Grid grid; float* pictures[2]; };  // pictures: of two frames, in row-major order

struct Solver {
    Tvl1Options options;
    int levels;
    Level level[MAX_LEVELS];
    float k, l_t, tau;      // tau / theta, lambda * theta, tau
    float *state;           // the ten fields of the current level
    float *zero_row;        // the row above the first row
    float *lane_start;      // first column of each stripe
    float *left_mask, *seam_mask, *last_mask, *valid_mask;  // zero: before column 0; last column; beyond it, at the
                                                            // end of a stripe; padding
    float *picture0;        // I0 in the layout of the blocks
    float *taps;            // see TapImage
    float *plain[2], *coarse[2];  // u1 and u2 in row-major order, of the current level and of the coarser one
    ResizeScratch resize_scratch;
    MedianScratch median_scratch;
};

// Not inlined, so that its arithmetic is not moved out of the scope of FloatingPointState.
__attribute__((noinline)) static Solver make_solver(const Tvl1Problem& problem, Arena& arena)
{
    Solver s = {};
    s.options = problem.options;
    s.k = (float)(s.options.tau / s.options.theta);
    s.l_t = (float)(s.options.lambda * s.options.theta);
    s.tau = (float)s.options.tau;
    const Grid full = make_grid(problem.rows, problem.cols);
    s.level[0].grid = full;
    for (s.levels = 1; s.levels < s.options.nscales && s.levels < MAX_LEVELS; ++s.levels) {
        const Grid& finer = s.level[s.levels - 1].grid;
        const int rows = (int)__builtin_lrint(finer.rows * s.options.scale_step);
        const int cols = (int)__builtin_lrint(finer.cols * s.options.scale_step);
        if (rows < MIN_SIDE || cols < MIN_SIDE) break;
        s.level[s.levels].grid = make_grid(rows, cols);
    }
    for (int n = 0; n < s.levels; ++n)
        for (float*& picture : s.level[n].pictures) picture = arena.take<float>(s.level[n].grid.pixels());
    s.state = arena.take<float>(full.rows * full.row_size() + STRIPES);  // the end of a stripe is read one lane too far
    s.zero_row = arena.take<float>(full.row_size());
    s.lane_start = arena.take<float>(STRIPES);
    s.left_mask = arena.take<float>(STRIPES);
    s.seam_mask = arena.take<float>(STRIPES);
    s.last_mask = arena.take<float>(STRIPES);
    s.valid_mask = arena.take<float>(full.blocks * STRIPES);
    s.picture0 = arena.take<float>((size_t)full.rows * full.blocks * STRIPES);
    s.taps = arena.take<float>(tap_floats(full.rows, full.cols));
    for (int i = 0; i < 2; ++i) {
        s.plain[i] = arena.take<float>(full.pixels());
        s.coarse[i] = arena.take<float>(full.pixels());
        s.resize_scratch.rows[i] = arena.take<float>(full.cols);
    }
    s.resize_scratch.taps = arena.take<Tap>(full.cols);
    for (auto& ring : s.median_scratch.rings)
        for (int32_t*& row : ring) row = arena.take<int32_t>((full.blocks + 2 * MARGIN) * STRIPES);
    s.median_scratch.columns = arena.take<Ordered>((full.blocks + 2 * MARGIN) * 5);
    return s;
}

}  // namespace
