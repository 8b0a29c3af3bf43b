// TV-L1 optical flow by duality. Compiled once for each instruction set (MAS_KERNEL names the result).
//
// C. Zach, T. Pock, H. Bischof: A duality based approach for realtime TV-L1 optical flow, DAGM 2007.
// J. Sanchez Perez, E. Meinhardt-Llopis, G. Facciolo: TV-L1 optical flow estimation, IPOL 2013.
// Defaults, borders and stopping rule are those of OpenCV's DualTVL1OpticalFlow.
//
// The fields are stored scaled, which saves products in the inner loop: with k = tau / theta,
//     U = k u,   P = tau p,   J = k grad I1(x + u0),   RHO_C = k^2 (I1(x + u0) - I0) - J . U0,   INV = -1 / |J|^2,
// one iteration (IPOL equations 15 to 17) reads
//     TH  = clamp(INV (RHO_C + J . U), -lambda theta, lambda theta)
//     U  += TH J + div P
//     P   = (P + tau grad U) / (1 + |grad U|)

#include "fp_state.h"
#include "warp.h"

namespace {

// ------------------------------------------------------------------------------------- one iteration

struct Constants { F l_t, minus_l_t, tau, one; };

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
    const F th = max(min(rho * load(b + INV * STRIPES), c.l_t), c.minus_l_t);
    const F change1 = fma(th, j1, div_p1), change2 = fma(th, j2, div_p2);
    error = fma(change2, change2, fma(change1, change1, error));
    const Flow out = {u.u1 + change1, u.u2 + change2};
    store(b + U1 * STRIPES, out.u1);
    store(b + U2 * STRIPES, out.u2);
    return out;
}

// Updates P of one vector of pixels from U there, to the right and below; `mask` clears the last column's gradient.
MAS_INLINE void dual(const Constants& c, float* b, const Flow& here, const Flow& right, const Flow& below, F mask)
{
    const F u1x = keep(right.u1 - here.u1, mask), u1y = below.u1 - here.u1;
    const F u2x = keep(right.u2 - here.u2, mask), u2y = below.u2 - here.u2;
    const F n1 = c.one + sqrt(fma(u1x, u1x, u1y * u1y));
    const F n2 = c.one + sqrt(fma(u2x, u2x, u2y * u2y));
    const F r1 = c.one / n1, r2 = c.one / n2;
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
    const Constants c = {fill(s.l_t), fill(-s.l_t), fill(s.tau), fill(1)};
    const int last = (grid.blocks - 1) * BLOCK;
    for (int part = 0; part < STRIPES; part += F::LANES) {
        float *b = row + part, *a = above + part;
        const float* mask = s.right_mask + part;
        F sum = load(error + part), left11, left21;
        if constexpr (PRIMAL) {  // left of the start of a stripe is the end of the previous one
            const F keep_left = load(s.left_mask + part);
            left11 = keep(load(b + last + P11 * STRIPES - 1), keep_left);
            left21 = keep(load(b + last + P21 * STRIPES - 1), keep_left);
        }
        Flow here = load_flow(a);
        Flow below = PRIMAL ? primal(c, b, a, left11, left21, sum) : load_flow(b);
        for (const float* end = b + last; b < end; b += BLOCK, a += BLOCK, mask += STRIPES) {
            const Flow next = PRIMAL ? primal(c, b + BLOCK, a + BLOCK, left11, left21, sum) : load_flow(b + BLOCK);
            if constexpr (DUAL) {
                const Flow right = load_flow(a + BLOCK);
                dual(c, a, here, right, below, load(mask));
                here = right;
            }
            below = next;
        }
        if constexpr (DUAL) dual(c, a, here, load_flow(above + part + 1), below, load(mask));
        store(error + part, sum);
    }
}

// One primal and one dual update of the whole level. Returns the sum of squared changes of U, computed as 16 partial
// sums, one per stripe, which are added in a fixed order: bit-identical for every vector width.
static float iterate(const Solver& s, const Grid& grid)
{
    float error[STRIPES] = {0};
    float* row = s.state;
    sweep_row<true, false>(s, grid, row, s.zero_row, error);
    for (int y = 1; y < grid.rows; ++y, row += grid.row_size())
        sweep_row<true, true>(s, grid, row + grid.row_size(), row, error);
    sweep_row<false, true>(s, grid, row, row, error);  // the last row is its own lower neighbour: no vertical gradient
    for (int half = STRIPES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; ++k) error[k] += error[k + half];
    return error[0];
}

// ------------------------------------------------------------------------------------- one scale

// Filters u1 and u2 with medians; `before` is called with each unfiltered row while it is in the cache.
template <class Action> static void filter_flow(const Solver& s, const Grid& grid, Action before)
{
    if (s.options.median_filtering == 5) return median_filter<5>(grid, s.state, s.median_scratch, before);
    if (s.options.median_filtering == 3) return median_filter<3>(grid, s.state, s.median_scratch, before);
    for (int row = 0; row < grid.rows; ++row) before(row);
}

static void solve_scale(const Solver& s, const Grid& grid, const TapImage& image)
{
    const float epsilon = (float)s.options.epsilon * s.k;
    const float threshold = epsilon * epsilon * (float)grid.pixels();
    for (int w = 0; w < s.options.warps; ++w) {
        float error = INFINITY;
        for (int outer = 0; error > threshold && outer < s.options.outer_iterations; ++outer) {
            filter_flow(s, grid, [&](int row) { if (outer == 0) warp_row(s, grid, image, row); });
            for (int inner = 0; error > threshold && inner < s.options.inner_iterations; ++inner)
                error = iterate(s, grid);
        }
    }
}

// ------------------------------------------------------------------------------------- all scales

static void set_lanes(const Solver& s, const Grid& grid)
{
    const auto set = [](float* p, bool on) {
        const uint32_t bits = on ? 0xffffffffu : 0;
        std::memcpy(p, &bits, sizeof bits);
    };
    for (int lane = 0; lane < STRIPES; ++lane) {
        set(s.left_mask + lane, lane > 0);
        s.lane_start[lane] = (float)(lane * grid.blocks);
        for (int block = 0; block < grid.blocks; ++block) {
            const int col = lane * grid.blocks + block;
            set(s.right_mask + block * STRIPES + lane, col < grid.cols - 1);
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
        start_scale(s, grid, s.level[n].pictures[first], n < s.levels - 1 || with_initial_flow ? s.plain : nullptr);
        solve_scale(s, grid, build_tap_image(s.level[n].pictures[1 - first], grid.rows, grid.cols, s.taps));
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
