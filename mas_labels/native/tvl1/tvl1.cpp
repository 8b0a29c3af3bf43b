// TV-L1 optical flow by duality. Compiled once for each instruction set (MAS_KERNEL names the result).
//
// C. Zach, T. Pock, H. Bischof: A duality based approach for realtime TV-L1 optical flow, DAGM 2007.
// J. Sanchez Perez, E. Meinhardt-Llopis, G. Facciolo: TV-L1 optical flow estimation, IPOL 2013.
// Defaults, borders and stopping rule are those of OpenCV's DualTVL1OpticalFlow.
#include "fp_state.h"
#include "iterate.h"

namespace {

// ------------------------------------------------------------------------------------- one scale

// Filters u1 and u2 with medians; `before` is called with each unfiltered row while it is in the cache.
template <class Action> static void filter_flow(const Solver& s, const Grid& grid, Action before)
{
    if (s.options.median_filtering == 5) return median_filter<5>(grid, s.state, s.median_scratch, before);
    if (s.options.median_filtering == 3) return median_filter<3>(grid, s.state, s.median_scratch, before);
    for (int row = 0; row < grid.rows; ++row) before(row);
}

// Returns false if the scale must be started again with `max_together` 1 (see `iterate_until`).
static bool solve_scale(const Solver& s, const Grid& grid, const TapImage& image, int max_together)
{
    const float epsilon = (float)s.options.epsilon * s.k;
    const float threshold = epsilon * epsilon * (float)grid.pixels();
    for (int w = 0; w < s.options.warps; ++w) {
        float error = INFINITY;
        for (int outer = 0; error > threshold && outer < s.options.outer_iterations; ++outer) {
            filter_flow(s, grid, [&](int row) { if (outer == 0) warp_row(s, grid, image, row); });
            if (!iterate_until(s, grid, threshold, max_together, error)) return false;
        }
    }
    return true;
}

// ------------------------------------------------------------------------------------- all scales

// Floats of a level's state that stay in the second-level cache: a mebibyte. A larger one is iterated several times in
// one pass over memory, which takes a third less time at 240 x 320. A smaller one would gain nothing (128 x 171: +5 %).
constexpr size_t MAX_CACHED = 1 << 18;

static void set_lanes(const Solver& s, const Grid& grid)
{
    const auto set = [](float* p, bool on) {
        const uint32_t bits = on ? 0xffffffffu : 0;
        std::memcpy(p, &bits, sizeof bits);
    };
    for (int lane = 0; lane < STRIPES; ++lane) {
        set(s.left_mask + lane, lane > 0);
        set(s.seam_mask + lane, lane != (grid.cols - 1) / grid.blocks);
        set(s.last_mask + lane, (lane + 1) * grid.blocks < grid.cols);
        s.lane_start[lane] = (float)(lane * grid.blocks);
        for (int block = 0; block < grid.blocks; ++block) {
            const int col = lane * grid.blocks + block;
            set(s.valid_mask + block * STRIPES + lane, col < grid.cols);
        }
    }
}

// Initialises a level: the dual variable and padding with zero, and u1, u2 from `plain` (null: zero).
static void start_scale(const Solver& s, const Grid& grid, const float* picture0, float* const* plain)
{
    set_lanes(s, grid);
    for (size_t block = 0; block < (size_t)grid.rows * grid.blocks; ++block)
        std::memset(s.state + block * BLOCK + P11 * STRIPES, 0, (FIELDS - P11) * STRIPES * sizeof(float));
    for (int row = 0; row < grid.rows; ++row) {
        float* target = s.state + row * grid.row_size();
        float* i0 = s.picture0 + (size_t)row * grid.blocks * STRIPES;
        const size_t offset = (size_t)row * grid.cols;
        for (int lane = 0, col = 0; col < grid.cols; ++lane)
            for (int block = 0; block < grid.blocks && col < grid.cols; ++block, ++col) {
                i0[block * STRIPES + lane] = picture0[offset + col];
                if (!plain) continue;
                target[(size_t)block * BLOCK + U1 * STRIPES + lane] = plain[0][offset + col];
                target[(size_t)block * BLOCK + U2 * STRIPES + lane] = plain[1][offset + col];
            }
    }
}

// Writes u1 and u2 of the level in row-major order, multiplied by `gain`, with `step` floats from pixel to pixel.
static void read_flow(const Solver& s, const Grid& grid, float gain, float* u1, float* u2, int step)
{
    for (int row = 0; row < grid.rows; ++row) {
        const float* source = s.state + row * grid.row_size();
        for (int lane = 0, col = 0; col < grid.cols; ++lane)
            for (int block = 0; block < grid.blocks && col < grid.cols; ++block, ++col, u1 += step, u2 += step) {
                *u1 = source[(size_t)block * BLOCK + U1 * STRIPES + lane] * gain;
                *u2 = source[(size_t)block * BLOCK + U2 * STRIPES + lane] * gain;
            }
    }
}

// Resizes the flow in `coarse` to `plain`; the scales are pixels of `from` per pixel of `to`.
static void resize_flow(const Solver& s, const Grid& from, const Grid& to, double row_scale, double col_scale, double gain)
{
    for (int i = 0; i < 2; ++i)
        resize(s.coarse[i], from.rows, from.cols, s.plain[i], to.rows, to.cols, row_scale, col_scale, (float)gain,
               s.resize_scratch);
}

static void solve_pair(const Solver& s, int first, float* flow, bool with_initial_flow)
{
    for (int n = s.levels - 1; n >= 0; --n) {
        const Grid& grid = s.level[n].grid;
        const TapImage image = build_tap_image(s.level[n].pictures[1 - first], grid.rows, grid.cols, s.taps);
        const int together = grid.rows * grid.row_size() > MAX_CACHED ? MAX_TOGETHER : 1;
        float* const* plain = n < s.levels - 1 || with_initial_flow ? s.plain : nullptr;
        start_scale(s, grid, s.level[n].pictures[first], plain);
        if (!solve_scale(s, grid, image, together)) {
            start_scale(s, grid, s.level[n].pictures[first], plain);
            solve_scale(s, grid, image, 1);
        }
        if (n == 0) break;
        const Grid& finer = s.level[n - 1].grid;
        read_flow(s, grid, 1, s.coarse[0], s.coarse[1], 1);
        const double row_scale = (double)grid.rows / finer.rows, col_scale = (double)grid.cols / finer.cols;
        resize_flow(s, grid, finer, row_scale, col_scale, 1 / s.options.scale_step);
    }
    read_flow(s, s.level[0].grid, 1 / s.k, flow, flow + 1, 2);
}

// Resizes the initial flow, scaled by k, to `plain` of the coarsest level.
static void start_from(const Solver& s, const float* flow)
{
    const size_t pixels = s.level[0].grid.pixels();
    for (size_t i = 0; i < pixels; ++i) { s.plain[0][i] = flow[2 * i] * s.k; s.plain[1][i] = flow[2 * i + 1] * s.k; }
    for (int n = 1; n < s.levels; ++n) {
        const Grid &from = s.level[n - 1].grid, &to = s.level[n].grid;
        for (int i = 0; i < 2; ++i) std::memcpy(s.coarse[i], s.plain[i], from.pixels() * sizeof(float));
        resize_flow(s, from, to, 1 / s.options.scale_step, 1 / s.options.scale_step, s.options.scale_step);
    }
}

static void build_pyramid(const Solver& s, const Tvl1Problem& problem, int frame, int slot)
{
    const size_t pixels = s.level[0].grid.pixels();
    float* out = s.level[0].pictures[slot];
    if (problem.grey_u8)
        for (size_t i = 0; i < pixels; ++i) out[i] = (float)problem.grey_u8[frame * pixels + i];
    else
        for (size_t i = 0; i < pixels; ++i) out[i] = problem.grey_f32[frame * pixels + i] * 255.0f;
    for (int n = 1; n < s.levels; ++n) {
        const Grid &from = s.level[n - 1].grid, &to = s.level[n].grid;
        resize(s.level[n - 1].pictures[slot], from.rows, from.cols, s.level[n].pictures[slot], to.rows, to.cols,
               1 / s.options.scale_step, 1 / s.options.scale_step, 1, s.resize_scratch);
    }
}

// ------------------------------------------------------------------------------------- the kernel

__attribute__((noinline)) static void solve_clip(const Tvl1Problem& problem, char* workspace)
{
    Arena arena = {workspace, 0};
    const Solver s = make_solver(problem, arena);
    const size_t flow_size = s.level[0].grid.pixels() * 2;
    build_pyramid(s, problem, 0, 0);
    for (int pair = 0; pair < problem.frames - 1; ++pair) {  // frame t is in slot t % 2
        build_pyramid(s, problem, pair + 1, (pair + 1) % 2);
        if (problem.initial_flow) start_from(s, problem.initial_flow + pair * flow_size);
        solve_pair(s, pair % 2, problem.flow + pair * flow_size, problem.initial_flow != nullptr);
    }
}

static size_t workspace_bytes(const Tvl1Problem& problem)
{
    const FloatingPointState state;
    Arena arena = {nullptr, 0};
    make_solver(problem, arena);
    return arena.used;
}

static void solve(const Tvl1Problem& problem, char* workspace)
{
    const FloatingPointState state;
    solve_clip(problem, workspace);
}

}  // namespace

extern const Tvl1Kernel MAS_KERNEL;
const Tvl1Kernel MAS_KERNEL = {MAS_ISA_NAME, workspace_bytes, solve};
