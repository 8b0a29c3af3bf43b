// The median filter of a field, 3 x 3 or 5 x 5 pixels, with replicated border.
#pragma once

#include "layout.h"

namespace {

MAS_INLINE void exchange(Ordered& a, Ordered& b)
{
    const Ordered low = min(a, b);
    b = max(a, b);
    a = low;
}

MAS_INLINE void sort3(Ordered& a, Ordered& b, Ordered& c) { exchange(a, b); exchange(b, c); exchange(a, b); }

MAS_INLINE void sort5(Ordered* v)
{
    exchange(v[0], v[1]); exchange(v[3], v[4]); exchange(v[2], v[4]); exchange(v[2], v[3]); exchange(v[1], v[4]);
    exchange(v[0], v[3]); exchange(v[0], v[2]); exchange(v[1], v[3]); exchange(v[1], v[2]);
}

MAS_INLINE Ordered median3(Ordered a, Ordered b, Ordered c) { return max(min(a, b), min(max(a, b), c)); }

// Of sorted columns: the median of nine is the median of (largest minimum, median of medians, smallest maximum).
MAS_INLINE Ordered median_of_columns3(const Ordered (*column)[3])
{
    const Ordered low = max(max(column[0][0], column[1][0]), column[2][0]);
    const Ordered high = min(min(column[0][2], column[1][2]), column[2][2]);
    return median3(low, median3(column[0][1], column[1][1], column[2][1]), high);
}

// Merges two sorted lists of five into one of ten: Batcher's odd-even merge.
MAS_INLINE void merge_5_5(const Ordered* a, const Ordered* b, Ordered* out)
{
    Ordered e[6] = {a[0], a[2], a[4], b[0], b[2], b[4]}, o[4] = {a[1], a[3], b[1], b[3]};
    exchange(o[0], o[2]); exchange(o[1], o[3]); exchange(o[1], o[2]);
    exchange(e[0], e[3]); exchange(e[2], e[5]); exchange(e[2], e[3]); exchange(e[1], e[4]);
    exchange(e[1], e[2]); exchange(e[3], e[4]);
    out[0] = e[0];
    out[9] = e[5];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) { out[2 * k + 1] = min(o[k], e[k + 1]); out[2 * k + 2] = max(o[k], e[k + 1]); }
}

// The 8th to 13th smallest, sorted, of two sorted lists of ten. Only these can be the median of them and five more.
MAS_INLINE void middle_six(const Ordered* a, const Ordered* b, Ordered* out)
{
    // The ten smallest, ascending then descending, and the ten largest, descending then ascending.
    Ordered low[10], high[10];
#pragma GCC unroll 10
    for (int k = 0; k < 10; ++k) { low[k] = min(a[k], b[9 - k]); high[k] = max(a[k], b[9 - k]); }
    Ordered top[5], bottom[5];
#pragma GCC unroll 5
    for (int k = 0; k < 5; ++k) { top[k] = max(low[k], low[k + 5]); bottom[k] = min(high[k], high[k + 5]); }
    sort5(top);
    sort5(bottom);
#pragma GCC unroll 3
    for (int k = 0; k < 3; ++k) { out[k] = top[k + 2]; out[k + 3] = bottom[k]; }
}

// The sixth smallest of a sorted list of six and one of five: over all ways to take six from the starts of the two
// lists, the minimum of the largest element taken.
MAS_INLINE Ordered sixth_of_6_5(const Ordered* six, const Ordered* five)
{
    Ordered out = six[5];
#pragma GCC unroll 5
    for (int k = 0; k < 5; ++k) out = min(out, max(six[k], five[4 - k]));
    return out;
}

constexpr int MARGIN = 2;  // blocks beyond each end of a row

// Loads one row of a field in a form to be sorted, with the neighbours beyond the ends of stripes and beyond the border.
static void load_median_row(const Grid& grid, const float* row, Field field, int32_t* out)
{
    int32_t* first = out + MARGIN * STRIPES;
    int32_t* last = first + (grid.blocks - 1) * STRIPES;
    for (int block = 0; block < grid.blocks; ++block)
        for (int part = 0; part < STRIPES; part += Ordered::LANES) {
            const float* source = row + (size_t)block * BLOCK + field * STRIPES + part;
            store(first + block * STRIPES + part, to_ordered(load(source)));
        }
    const int32_t left = *first, right = first[grid.lane_offset(grid.cols - 1)];
    grid.each_padding_lane([&](size_t offset) { first[offset] = right; });
    for (int beyond = 1; beyond <= MARGIN; ++beyond) {  // the neighbouring stripe is one lane further
        const int inside = (beyond - 1) % grid.blocks, shift = grid.blocks == 1 ? beyond : 1;
        int32_t *before = first - beyond * STRIPES, *after = last + beyond * STRIPES;
        std::memmove(before, last - inside * STRIPES - shift, STRIPES * sizeof(int32_t));
        std::memmove(after, first + inside * STRIPES + shift, STRIPES * sizeof(int32_t));
        for (int lane = 0; lane < shift; ++lane) { before[lane] = left; after[STRIPES - 1 - lane] = right; }
    }
}

// Medians of a row of sorted columns; `out` is the field of its first block. Two adjacent windows of five columns
// share four, which are merged once; the last two of these are the first two of the next two windows.
static void medians5(const Ordered (*column)[5], int blocks, float* out)
{
    Ordered merged[2][10], six[6];
    merge_5_5(column[1], column[2], merged[0]);
    for (int block = 0; block < blocks; block += 2, column += 2, out += 2 * BLOCK) {
        const Ordered* before = merged[block / 2 % 2];
        Ordered* after = merged[1 - block / 2 % 2];
        merge_5_5(column[3], column[4], after);
        middle_six(before, after, six);
        store(out, from_ordered(sixth_of_6_5(six, column[0])));
        if (block + 1 < blocks) store(out + BLOCK, from_ordered(sixth_of_6_5(six, column[5])));
    }
}

static void medians3(const Ordered (*column)[3], int blocks, float* out)
{
    for (int block = 0; block < blocks; ++block, ++column, out += BLOCK)
        store(out, from_ordered(median_of_columns3(column)));
}

// Sorts the columns of WINDOW rows, then computes the medians of each block of the row.
template <int WINDOW>
static void median_row(const Grid& grid, int32_t* const* rows, Ordered* columns, float* out)
{
    Ordered (*sorted)[WINDOW] = (Ordered (*)[WINDOW])columns;
    for (int part = 0; part < STRIPES; part += Ordered::LANES) {
        for (int block = 0; block < grid.blocks + 2 * MARGIN; ++block) {
            Ordered column[5];
#pragma GCC unroll 5
            for (int k = 0; k < WINDOW; ++k) column[k] = load_ordered(rows[k] + block * STRIPES + part);
            if constexpr (WINDOW == 3) sort3(column[0], column[1], column[2]);
            else sort5(column);
#pragma GCC unroll 5
            for (int k = 0; k < WINDOW; ++k) sorted[block][k] = column[k];
        }
        if constexpr (WINDOW == 3) medians3(sorted + MARGIN - 1, grid.blocks, out + part);
        else medians5(sorted, grid.blocks, out + part);
    }
}

// Scratch memory of `median_filter`: a ring buffer of rows for u1 and u2, and one row of sorted columns.
constexpr int RING = 8;
struct MedianScratch { int32_t* rings[2][RING]; Ordered* columns; };

// Replaces u1 and u2 by their medians; padding lanes are reset to zero, as `sweep_row` requires. `before` is called
// with each row before it is read.
template <int WINDOW, class Action>
static void median_filter(const Grid& grid, float* state, const MedianScratch& scratch, Action before)
{
    constexpr int REACH = WINDOW / 2;
    constexpr Field fields[2] = {U1, U2};
    int loaded = 0;
    for (int row = 0; row < grid.rows; ++row) {
        for (; loaded <= row + REACH && loaded < grid.rows; ++loaded) {
            before(loaded);
            for (int i = 0; i < 2; ++i)
                load_median_row(grid, state + loaded * grid.row_size(), fields[i], scratch.rings[i][loaded % RING]);
        }
        for (int i = 0; i < 2; ++i) {
            int32_t* window[WINDOW];
            for (int k = 0; k < WINDOW; ++k)
                window[k] = scratch.rings[i][clamp_index(row + k - REACH, 0, grid.rows - 1) % RING];
            float* out = state + row * grid.row_size() + fields[i] * STRIPES;
            median_row<WINDOW>(grid, window, scratch.columns, out);
            grid.each_padding_lane([&](size_t offset) { out[offset / STRIPES * BLOCK + offset % STRIPES] = 0; });
        }
    }
}

}  // namespace
