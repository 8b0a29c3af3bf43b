// The most frequent 24-bit colour of blocks (the `authors` convention, mas_labels/labels/appearance.py).
#pragma once

#include <cstring>

#include "array.h"
#include "labels.h"

namespace {

// Sorts pairs, (key << 32) | value, by the low `key_bits` of their keys; the sort is stable.
void radix_sort(uint64_t* pairs, uint64_t* scratch, size_t count, int key_bits)
{
    constexpr int DIGIT_BITS = 12;
    constexpr size_t DIGITS = 1 << DIGIT_BITS;
    for (int shift = 32; shift < 32 + key_bits; shift += DIGIT_BITS) {
        size_t start[DIGITS + 1] = {};
        for (size_t n = 0; n < count; ++n) ++start[(pairs[n] >> shift) % DIGITS + 1];
        for (size_t digit = 0; digit < DIGITS; ++digit) start[digit + 1] += start[digit];
        for (size_t n = 0; n < count; ++n) scratch[start[(pairs[n] >> shift) % DIGITS]++] = pairs[n];
        std::memcpy(pairs, scratch, count * sizeof *pairs);
    }
}

// The colours of a clip, the most frequent first, equally frequent ones by ascending code.
struct Palette {
    size_t colours;
    Array<uint32_t> codes, counts;  // of each colour; a count of 0 ends the list
    Array<uint32_t> ranks;          // of each pixel: the index of its colour in the list

    explicit Palette(const FrequentProblem& p)
        : Palette(p.frames, size_t(p.count) * p.rows * p.cols)
    {
    }

private:
    Palette(const uint8_t* rgb, size_t pixels) : colours(0), codes(pixels + 1), counts(pixels + 1), ranks(pixels)
    {
        Array<uint64_t> pairs(pixels), scratch(pixels), by_count(pixels);
        for (size_t n = 0; n < pixels; ++n, rgb += CHANNELS) {
            const uint64_t code = rgb[0] | rgb[1] << 8 | rgb[2] << 16;
            pairs[n] = code << 32 | n;
        }
        radix_sort(pairs.data(), scratch.data(), pixels, 24);
        for (size_t start = 0, end; start < pixels; start = end) {
            for (end = start; end < pixels && pairs[end] >> 32 == pairs[start] >> 32;) ++end;
            by_count[colours++] = (pixels - (end - start)) << 32 | start;
        }
        radix_sort(by_count.data(), scratch.data(), colours, 36);
        for (size_t rank = 0; rank < colours; ++rank) {
            const size_t start = uint32_t(by_count[rank]);
            counts[rank] = pixels - (by_count[rank] >> 32);
            codes[rank] = pairs[start] >> 32;
            for (size_t n = start; n < start + counts[rank]; ++n) ranks[uint32_t(pairs[n])] = rank;
        }
    }
};

// Calls `visit(row, begin, end)` for the runs of pixels of a block of the crop at (0, 0).
template <class Visit>
void each_run(const Patterns& p, int block, bool shared_diagonals, const Visit& visit)
{
    const int view = p.view, half = p.half(), side_of_block = p.grid_block;
    const int ring = block - p.first_ring(), triangle = block - p.first_triangle();
    const bool whole = block == p.blocks();
    if (ring < 0) {
        const int top = block / p.grid() * side_of_block, left = block % p.grid() * side_of_block;
        for (int row = top; row < top + side_of_block; ++row) visit(row, left, left + side_of_block);
        return;
    }
    const int inner = ring * p.ring_width, outer = inner + p.ring_width;
    for (int row = 0; row < view; ++row) {
        const int row_out = row < half ? half - 1 - row : row - half;  // distance from the centre line
        if (whole) {
            visit(row, 0, view);
        } else if (triangle < 0) {
            if (row_out >= outer) continue;
            const int hole = row_out < inner ? inner : 0;
            visit(row, half - outer, half - hole);
            visit(row, half + hole, half + outer);
        } else {
            if ((row >= half) != triangle / 4) continue;
            const int side = half - 1 - row_out + shared_diagonals, flat = row_out + 1;
            if (triangle % 4 == 0) visit(row, 0, side);
            if (triangle % 4 == 1) visit(row, half - flat, half);
            if (triangle % 4 == 2) visit(row, half, half + flat);
            if (triangle % 4 == 3) visit(row, view - side, view);
        }
    }
}

void frequent_colours(const FrequentProblem& p)
{
    constexpr size_t FIRST_COLOURS = 4096;  // whose counts stay in the first-level cache
    const Palette palette(p);
    Array<uint32_t> counts(palette.colours + 1);
    for (int query = 0; query < p.n_queries; ++query) {
        const int32_t *top_left_block = p.queries + 3 * query;
        size_t best = 0;
        for (size_t counted = FIRST_COLOURS;; counted *= 16) {
            const size_t last = counted < palette.colours ? counted : palette.colours;  // stands for all later ones
            std::memset(counts.data(), 0, (last + 1) * sizeof counts[0]);
            for (int frame = 0; frame < p.count; ++frame) {
                const uint32_t* ranks = palette.ranks.data()
                    + (size_t(frame) * p.rows + top_left_block[0]) * p.cols + top_left_block[1];
                each_run(p.patterns, top_left_block[2], p.shared_diagonals, [&](int row, int begin, int end) {
                    for (int col = begin; col < end; ++col) {
                        const size_t rank = ranks[size_t(row) * p.cols + col];
                        ++counts[rank < last ? rank : last];
                    }
                });
            }
            best = 0;
            for (size_t rank = 1; rank < last; ++rank)
                if (counts[rank] > counts[best]
                    || (counts[rank] == counts[best] && palette.codes[rank] < palette.codes[best]))
                    best = rank;
            if (counts[best] > palette.counts[last]) break;  // no later colour is as frequent, even in the whole clip
        }
        p.codes[query] = palette.codes[best];
    }
}

}  // namespace
