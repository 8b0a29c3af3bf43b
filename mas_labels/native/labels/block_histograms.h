// Histograms of the blocks (mas_labels/labels/patterns.py) of many crops at once.
//
// Lines where blocks of the grid or rings begin cut a view into rectangles, squares along the diagonals, and every block
// consists of whole rectangles, except along the diagonals of triangles (by default, lines at multiples of 14 pixels cut
// 8 x 8 squares). For all crops that begin in the same row, one pass over the pixels computes the histogram of all pixels
// above and to the left of each crossing of lines (an integral image of histograms). The histogram of a rectangle is then
// a sum and difference of four crossings, and only the squares on the two diagonals of a crop are read again.
#pragma once

#include <cstring>

#include "array.h"
#include "labels.h"

namespace {

// Crops that begin in the same row.
struct Row {
    int top, count;
    const int32_t* offsets;  // (count, 2)

    int left(int crop) const { return offsets[2 * crop + 1]; }
};

// Calls `visit(row, first)` for each row of crops; `first` is the index of its first crop.
template <class Visit>
void each_row(const Crops& crops, const Visit& visit)
{
    for (int first = 0; first < crops.count;) {
        Row row = {crops.offsets[2 * first], 0, crops.offsets + 2 * first};
        while (first + row.count < crops.count && row.offsets[2 * row.count] == row.top) ++row.count;
        visit(row, first);
        first += row.count;
    }
}

// Lines across an interval of pixels.
struct Lines {
    Array<int> line_at, positions;  // pixel -> line and back
    int count = 0;

    explicit Lines(int pixels) : line_at(pixels + 1), positions(pixels + 1) {}

    // Adds the lines of a view that begins at `first`.
    void add(const Patterns& p, int first)
    {
        for (int at = 0; at <= p.view; at += p.grid_block) line_at[first + at] = 1;
        for (int at = 0; at <= p.view; at += p.ring_width) line_at[first + at] = 1;
    }

    // Numbers the lines that were added.
    void number(int pixels)
    {
        for (int at = 0; at <= pixels; ++at)
            if (line_at[at]) {
                positions[count] = at;
                line_at[at] = count++;
            }
    }
};

// T may overflow in the crossings: unsigned sums wrap around, and differences are right if the count of a block fits.
template <class T, int BINS>
class BlockHistograms {
public:
    BlockHistograms(const Patterns& patterns, int cols, const Row& crops, bool shared_diagonals)
        : p_(patterns), top_(crops.top), shared_(shared_diagonals), bands_(patterns.view), lines_(cols),
          crossings_(find_crossings(cols, crops) * BINS)
    {
    }

    // One pass over the pixels; `add(histogram, col, begin, end)` counts rows begin..end-1 of a column. All bands are counted
    // before they are summed: a number that was just counted takes a while before it can be read as a part of a vector.
    template <class Add>
    void sweep(const Add& add)
    {
        const int bands = bands_.count - 1;
        Array<T> left(size_t(bands) * BINS);  // of each band: the pixels to the left of the line
        for (int line = 1; line < lines_.count; ++line) {
            for (int col = lines_.positions[line - 1]; col < lines_.positions[line]; ++col)
                for (int band = 0; band < bands; ++band)
                    add(left.data() + band * BINS, col, top_ + bands_.positions[band], top_ + bands_.positions[band + 1]);
            T* __restrict sums = crossings_.data() + size_t(line) * bands_.count * BINS;
            const T* __restrict counts = left.data();
            for (int n = 0; n < bands * BINS; ++n) sums[n + BINS] = T(sums[n] + counts[n]);
        }
    }

    // Computes the histograms of the crop at column `left`: (blocks, BINS). `add` as for `sweep`.
    template <class Add>
    void blocks(int left, const Add& add, T* out)
    {
        left_ = left;
        const int side = p_.grid_block;
        for (int row = 0; row < p_.view; row += side)
            for (int col = 0; col < p_.view; col += side, out += BINS) rectangle(row, row + side, col, col + side, out);
        rings(out);
        triangles(add, out + p_.rings() * BINS);
    }

private:
    size_t find_crossings(int cols, const Row& crops)
    {
        bands_.add(p_, 0);
        bands_.number(p_.view);
        for (int crop = 0; crop < crops.count; ++crop) lines_.add(p_, crops.left(crop));
        lines_.number(cols);
        return size_t(bands_.count) * lines_.count;
    }

    // The crossing of two lines of the crop.
    const T* crossing(int row, int col) const
    {
        const int band = bands_.line_at[row], line = lines_.line_at[left_ + col];
        return crossings_.data() + (size_t(line) * bands_.count + band) * BINS;
    }

    // The histogram of the pixels of the crop between four of its lines.
    void rectangle(int row, int row_end, int col, int col_end, T* __restrict out) const
    {
        const T *a = crossing(row, col), *b = crossing(row, col_end);
        const T *c = crossing(row_end, col), *d = crossing(row_end, col_end);
        for (int n = 0; n < BINS; ++n) out[n] = T(d[n] - c[n] - b[n] + a[n]);
    }

    // A ring is a square minus the next smaller one.
    void rings(T* __restrict out) const
    {
        const int half = p_.half();
        for (int outer = p_.ring_width, ring = 0; outer <= half; outer += p_.ring_width, ++ring)
            rectangle(half - outer, half + outer, half - outer, half + outer, out + ring * BINS);
        for (int n = (p_.rings() - 1) * BINS; n-- > 0;) out[n + BINS] = T(out[n + BINS] - out[n]);
    }

    // In each quadrant the triangle that touches the left or right side consists of rectangles, one below another, and
    // of halves of the squares on the diagonal; the one that touches the top or bottom is the rest of the quadrant.
    template <class Add>
    void triangles(const Add& add, T* out)
    {
        constexpr int SIDE_OF[4] = {0, 3, 4, 7}, FLAT_OF[4] = {1, 2, 5, 6};  // blocks 1, 4, 5, 8 and 2, 3, 6, 7
        const int view = p_.view, half = p_.half();
        T halves[4][BINS] = {}, diagonals[4][BINS] = {};
        count_diagonals(add, halves, diagonals);
        for (int quadrant = 0; quadrant < 4; ++quadrant) {
            const bool lower = quadrant / 2, right = quadrant % 2;
            T* __restrict side = out + SIDE_OF[quadrant] * BINS;
            T* __restrict flat = out + FLAT_OF[quadrant] * BINS;
            const T *diagonal = diagonals[quadrant];
            std::memcpy(side, halves[quadrant], sizeof halves[quadrant]);
            for (int band = 1; bands_.positions[band] < half; ++band) {
                T strip[BINS];
                const int begin = bands_.positions[band], end = bands_.positions[band + 1];
                rectangle(lower ? view - end : begin, lower ? view - begin : end, right ? view - begin : 0,
                          right ? view : begin, strip);
                for (int n = 0; n < BINS; ++n) side[n] = T(side[n] + strip[n]);
            }
            rectangle(lower ? half : 0, lower ? view : half, right ? half : 0, right ? view : half, flat);
            for (int n = 0; n < BINS; ++n) flat[n] = T(flat[n] - side[n]);
            if (shared_)
                for (int n = 0; n < BINS; ++n) side[n] = T(side[n] + diagonal[n]);
        }
    }

    // Counts the pixels of the squares on the diagonals: those between the diagonal and the left or right side, and
    // those on the diagonal.
    template <class Add>
    void count_diagonals(const Add& add, T (&halves)[4][BINS], T (&diagonals)[4][BINS]) const
    {
        const int right = left_ + p_.view - 1, bottom = top_ + p_.view - 1;
        for (int at = 0, band = 0; at < p_.half(); ++at) {  // rows that are farther from the border than the column
            if (at == bands_.positions[band + 1]) ++band;
            const int end = bands_.positions[band + 1];  // of the square
            add(halves[0], left_ + at, top_ + at + 1, top_ + end);
            add(halves[1], right - at, top_ + at + 1, top_ + end);
            add(halves[2], left_ + at, bottom + 1 - end, bottom - at);
            add(halves[3], right - at, bottom + 1 - end, bottom - at);
            if (!shared_) continue;
            add(diagonals[0], left_ + at, top_ + at, top_ + at + 1);
            add(diagonals[1], right - at, top_ + at, top_ + at + 1);
            add(diagonals[2], left_ + at, bottom - at, bottom - at + 1);
            add(diagonals[3], right - at, bottom - at, bottom - at + 1);
        }
    }

    const Patterns p_;
    const int top_;
    const bool shared_;
    Lines bands_, lines_;  // of the rows of a view; of the columns of the frame
    Array<T> crossings_;   // (lines, bands, BINS)
    int left_ = 0;         // of the current crop
};

}  // namespace
