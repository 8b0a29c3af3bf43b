// Histograms of the 28 blocks (mas_labels/labels/patterns.py) of many crops at once.
//
// Rings begin at multiples of 14 pixels and blocks of the grid at multiples of 28, so that lines at multiples of 14
// cut a view into 8 x 8 squares, and every block consists of whole squares, except along the diagonals of triangles.
// For all crops that begin in the same row, one pass over the pixels computes the histogram of all pixels above and to
// the left of each crossing of lines (an integral image of histograms). The histogram of a rectangle is then a sum and
// difference of four crossings, and only the 16 squares on the two diagonals of a crop are read again.
#pragma once

#include <cstring>

#include "array.h"
#include "labels.h"

namespace {

constexpr int SQUARE = 14;
constexpr int LINES = VIEW / SQUARE + 1;  // in each direction
constexpr int HALF = VIEW / 2;
constexpr int RINGS_AT = 16, TRIANGLES_AT = 20;  // index of the first block

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

// T may overflow in the crossings: unsigned sums wrap around, and differences are right if the count of a block fits.
template <class T, int BINS>
class BlockHistograms {
public:
    BlockHistograms(int cols, const Row& crops, bool shared_diagonals)
        : top_(crops.top), shared_(shared_diagonals), line_of_(cols + 1), columns_(cols + 1),
          lines_(find_lines(cols, crops)), crossings_(size_t(LINES) * lines_ * BINS)
    {
    }

    // One pass over the pixels; `add(histogram, col, begin, end)` counts rows begin..end-1 of a column.
    template <class Add>
    void sweep(const Add& add)
    {
        for (int band = 0; band + 1 < LINES; ++band) {
            T run[BINS] = {};
            for (int line = 1; line < lines_; ++line) {
                const int row = top_ + band * SQUARE;
                for (int col = columns_[line - 1]; col < columns_[line]; ++col) add(run, col, row, row + SQUARE);
                const T* __restrict above = crossing(band, line);
                T* __restrict here = crossings_.data() + (size_t(band + 1) * lines_ + line) * BINS;
                for (int n = 0; n < BINS; ++n) here[n] = T(above[n] + run[n]);
            }
        }
    }

    // Computes the histograms of the crop at column `left`: (BLOCKS, BINS). `add` as for `sweep`.
    template <class Add>
    void blocks(int left, const Add& add, T* out)
    {
        for (int line = 0; line < LINES; ++line) at_[line] = line_of_[left + line * SQUARE];
        for (int block = 0; block < RINGS_AT; ++block) {
            const int band = 2 * (block / 4), line = 2 * (block % 4);
            rectangle(band, band + 2, line, line + 2, out + block * BINS);
        }
        rings(out + RINGS_AT * BINS);
        triangles(left, add, out + TRIANGLES_AT * BINS);
    }

private:
    int find_lines(int cols, const Row& crops)
    {
        for (int crop = 0; crop < crops.count; ++crop)
            for (int line = 0; line < LINES; ++line) line_of_[crops.left(crop) + line * SQUARE] = 1;
        int lines = 0;
        for (int col = 0; col <= cols; ++col)
            if (line_of_[col]) {
                columns_[lines] = col;
                line_of_[col] = lines++;
            }
        return lines;
    }

    const T* crossing(int band, int line) const { return crossings_.data() + (size_t(band) * lines_ + line) * BINS; }

    // The histogram of bands band..band_end-1 between two lines of the crop.
    void rectangle(int band, int band_end, int line, int line_end, T* __restrict out) const
    {
        const T *a = crossing(band, at_[line]), *b = crossing(band, at_[line_end]);
        const T *c = crossing(band_end, at_[line]), *d = crossing(band_end, at_[line_end]);
        for (int n = 0; n < BINS; ++n) out[n] = T(d[n] - c[n] - b[n] + a[n]);
    }

    // A ring is a square minus the next smaller one.
    void rings(T* __restrict out) const
    {
        constexpr int RINGS = 4;
        for (int ring = 0; ring < RINGS; ++ring)
            rectangle(RINGS - 1 - ring, RINGS + 1 + ring, RINGS - 1 - ring, RINGS + 1 + ring, out + ring * BINS);
        for (int n = (RINGS - 1) * BINS; n-- > 0;) out[n + BINS] = T(out[n + BINS] - out[n]);
    }

    // In each quadrant the triangle that touches the left or right side consists of 1 + 2 + 3 whole squares and 4
    // halves; the one that touches the top or bottom is the rest of the quadrant.
    template <class Add>
    void triangles(int left, const Add& add, T* out)
    {
        constexpr int SIDE_OF[4] = {0, 3, 4, 7}, FLAT_OF[4] = {1, 2, 5, 6};  // blocks 1, 4, 5, 8 and 2, 3, 6, 7
        T halves[4][BINS] = {}, diagonals[4][BINS] = {};
        count_diagonals(left, add, halves, diagonals);
        for (int quadrant = 0; quadrant < 4; ++quadrant) {
            const bool lower = quadrant / 2, right = quadrant % 2;
            T* __restrict side = out + SIDE_OF[quadrant] * BINS;
            T* __restrict flat = out + FLAT_OF[quadrant] * BINS;
            const T *half = halves[quadrant], *diagonal = diagonals[quadrant];
            std::memcpy(side, half, sizeof halves[quadrant]);
            for (int squares = 1; squares < 4; ++squares) {
                T strip[BINS];
                const int band = lower ? 7 - squares : squares;
                rectangle(band, band + 1, right ? 8 - squares : 0, right ? 8 : squares, strip);
                for (int n = 0; n < BINS; ++n) side[n] = T(side[n] + strip[n]);
            }
            rectangle(4 * lower, 4 * lower + 4, 4 * right, 4 * right + 4, flat);
            for (int n = 0; n < BINS; ++n) flat[n] = T(flat[n] - side[n]);
            if (shared_)
                for (int n = 0; n < BINS; ++n) side[n] = T(side[n] + diagonal[n]);
        }
    }

    // Counts the pixels of the squares on the diagonals: those between the diagonal and the left or right side, and
    // those on the diagonal.
    template <class Add>
    void count_diagonals(int left, const Add& add, T (&halves)[4][BINS], T (&diagonals)[4][BINS]) const
    {
        const int right = left + VIEW - 1, bottom = top_ + VIEW - 1;
        for (int at = 0; at < HALF; ++at) {  // rows of the square that are farther from the border than the column
            const int end = (at / SQUARE + 1) * SQUARE;
            add(halves[0], left + at, top_ + at + 1, top_ + end);
            add(halves[1], right - at, top_ + at + 1, top_ + end);
            add(halves[2], left + at, bottom + 1 - end, bottom - at);
            add(halves[3], right - at, bottom + 1 - end, bottom - at);
            if (!shared_) continue;
            add(diagonals[0], left + at, top_ + at, top_ + at + 1);
            add(diagonals[1], right - at, top_ + at, top_ + at + 1);
            add(diagonals[2], left + at, bottom - at, bottom - at + 1);
            add(diagonals[3], right - at, bottom - at, bottom - at + 1);
        }
    }

    const int top_;
    const bool shared_;
    Array<int> line_of_, columns_;  // column -> line and back
    const int lines_;
    Array<T> crossings_;  // (LINES, lines, BINS)
    int at_[LINES];       // lines of the current crop
};

}  // namespace
