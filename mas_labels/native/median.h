// The median of a field over 3 x 3 or 5 x 5 pixels, the border repeated.
//
// Floats are compared as integers of the same order, which is faster and orders -0 before +0 in every build.
#pragma once

#include "layout.h"

namespace {

MAS_INLINE void exchange(I& a, I& b)
{
    const I low = min(a, b);
    b = max(a, b);
    a = low;
}

MAS_INLINE void sort3(I& a, I& b, I& c) { exchange(a, b); exchange(b, c); exchange(a, b); }

MAS_INLINE void sort5(I* v)
{
    exchange(v[0], v[1]); exchange(v[3], v[4]); exchange(v[2], v[4]); exchange(v[2], v[3]); exchange(v[1], v[4]);
    exchange(v[0], v[3]); exchange(v[0], v[2]); exchange(v[1], v[3]); exchange(v[1], v[2]);
}

MAS_INLINE I median3(I a, I b, I c) { return max(min(a, b), min(max(a, b), c)); }

// Columns sorted downwards: the median of nine is the median of (largest minimum, median median, smallest maximum).
MAS_INLINE I median_of_columns3(const I (*column)[3])
{
    const I low = max(max(column[0][0], column[1][0]), column[2][0]);
    const I high = min(min(column[0][2], column[1][2]), column[2][2]);
    return median3(low, median3(column[0][1], column[1][1], column[2][1]), high);
}

// Moves the smallest of m[0 .. size - 1] to m[0] and the largest to m[size - 1].
template <int SIZE> MAS_INLINE void extremes_to_ends(I* m)
{
#pragma GCC unroll 16
    for (int k = 0; k < SIZE / 2; ++k) exchange(m[k], m[SIZE - 1 - k]);
#pragma GCC unroll 16
    for (int k = 1; k < (SIZE + 1) / 2; ++k) exchange(m[0], m[k]);
#pragma GCC unroll 16
    for (int k = SIZE / 2; k < SIZE - 1; ++k) exchange(m[k], m[SIZE - 1]);
}

// Columns sorted downwards, then each row sorted: both orders hold, and only 13 of the 25 can be the median,
// six of the others being surely below it and six above.
MAS_INLINE I median_of_columns5(const I (*column)[5])
{
    I r[5][5];
#pragma GCC unroll 5
    for (int rank = 0; rank < 5; ++rank) {
#pragma GCC unroll 5
        for (int k = 0; k < 5; ++k) r[rank][k] = column[k][rank];
        sort5(r[rank]);
    }
    // Eight of the 13 hold the median between their extremes: forget these two, take in one more, and so on.
    I m[8] = {r[0][3], r[0][4], r[1][2], r[1][3], r[1][4], r[2][1], r[2][2], r[2][3]};
    extremes_to_ends<8>(m);
    m[0] = r[3][0];
    extremes_to_ends<7>(m);
    m[0] = r[3][1];
    extremes_to_ends<6>(m);
    m[0] = r[3][2];
    extremes_to_ends<5>(m);
    m[0] = r[4][0];
    extremes_to_ends<4>(m);
    return median3(m[1], m[2], r[4][1]);
}

// One row of a field as ordered integers, with two more blocks at either end for the neighbours beyond the
// stripes' ends and beyond the border.
static void load_median_row(const Grid& grid, const float* row, Field field, int32_t* out)
{
    for (int block = 0; block < grid.blocks; ++block)
        for (int part = 0; part < STRIPES; part += I::LANES) {
            int32_t* target = out + (block + 2) * STRIPES + part;
            std::memcpy(target, row + (size_t)block * BLOCK + field * STRIPES + part, sizeof(int32_t) * I::LANES);
            store(target, flip_if_negative(load(target)));
        }
    const auto at = [&](int col) { return out + (col % grid.blocks + 2) * STRIPES + col / grid.blocks; };
    const int32_t first = *at(0), last = *at(grid.cols - 1);
    for (int col = grid.cols; col < grid.blocks * STRIPES; ++col) *at(col) = last;
    for (int beyond = 0; beyond < 2; ++beyond)
        for (int lane = 0; lane < STRIPES; ++lane) {
            const int left = lane * grid.blocks - 1 - beyond, right = (lane + 1) * grid.blocks + beyond;
            out[(1 - beyond) * STRIPES + lane] = left < 0 ? first : *at(left);
            out[(grid.blocks + 2 + beyond) * STRIPES + lane] = right < grid.cols ? *at(right) : last;
        }
}

// Sorts the columns of WINDOW rows, then takes the median at each block of the row.
template <int WINDOW>
static void median_row(const Grid& grid, int32_t* const* rows, I* columns, float* out, Field field)
{
    constexpr int REACH = WINDOW / 2;
    for (int part = 0; part < STRIPES; part += I::LANES) {
        I (*sorted)[WINDOW] = (I (*)[WINDOW])columns;
        for (int block = 2 - REACH; block < grid.blocks + 2 + REACH; ++block) {
            I* column = sorted[block];
#pragma GCC unroll 5
            for (int k = 0; k < WINDOW; ++k) column[k] = load(rows[k] + block * STRIPES + part);
            if constexpr (WINDOW == 3) sort3(column[0], column[1], column[2]);
            else sort5(column);
        }
        for (int block = 0; block < grid.blocks; ++block) {
            I median;
            if constexpr (WINDOW == 3) median = median_of_columns3(sorted + block + 1);
            else median = median_of_columns5(sorted + block);
            int32_t lanes[I::LANES];
            store(lanes, flip_if_negative(median));
            std::memcpy(out + (size_t)block * BLOCK + field * STRIPES + part, lanes, sizeof lanes);
        }
    }
}

// Scratch of `median_filter`: a ring of rows and one row of sorted columns.
constexpr int RING = 8;
struct MedianScratch { int32_t* ring[RING]; I* columns; };

// Replaces `field` of the whole grid by its median; padding lanes are set to zero again, see `sweep`.
template <int WINDOW>
static void median_filter(const Grid& grid, float* state, Field field, const MedianScratch& scratch)
{
    constexpr int REACH = WINDOW / 2;
    int loaded = 0;
    for (int row = 0; row < grid.rows; ++row) {
        for (; loaded <= row + REACH && loaded < grid.rows; ++loaded)
            load_median_row(grid, state + loaded * grid.row_size(), field, scratch.ring[loaded % RING]);
        int32_t* window[WINDOW];
        for (int k = 0; k < WINDOW; ++k)
            window[k] = scratch.ring[clamp_index(row + k - REACH, 0, grid.rows - 1) % RING];
        float* out = state + row * grid.row_size();
        median_row<WINDOW>(grid, window, scratch.columns, out, field);
        for (int col = grid.cols; col < grid.blocks * STRIPES; ++col) *grid.field(out, col, field) = 0;
    }
}

}  // namespace
