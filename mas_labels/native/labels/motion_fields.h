// One pass over a clip's flow: Mu and Mv (mas_labels/labels/motion_boundary.py), and the magnitudes of each field,
// summed over every crop. The operations are those of the NumPy code in the same order: the result is bit-identical.
#pragma once

#include <cmath>
#include <cstring>

#include "array.h"
#include "labels.h"

namespace {

// Three rows of a field, u and v interleaved; `above` and `below` repeat the edge at the border.
struct FieldRows {
    const float *above, *at, *below;
    int width;  // numbers in a row
    bool edge;  // first or last row
};

void central_differences(const FieldRows& f, float* __restrict d_col, float* __restrict d_row)
{
    const float step = f.edge ? 1.0f : 0.5f;
    for (int i = 0; i < f.width; ++i) d_row[i] = (f.below[i] - f.above[i]) * step;
    for (int i = 2; i < f.width - 2; ++i) d_col[i] = (f.at[i + 2] - f.at[i - 2]) * 0.5f;
    for (int i = 0; i < 2; ++i) {
        const float* last = f.at + f.width - 2;
        d_col[i] = f.at[i + 2] - f.at[i];
        d_col[f.width - 2 + i] = last[i] - last[i - 2];
    }
}

void prewitt(const FieldRows& f, float* __restrict d_col, float* __restrict d_row)
{
    const float *above = f.above, *at = f.at, *below = f.below;
    const auto column = [=](int i, int before, int after) {
        d_col[i] = ((above[before] - above[after]) + (below[before] - below[after])) + (at[before] - at[after]);
        d_row[i] = ((above[before] - below[before]) + (above[after] - below[after])) + (above[i] - below[i]);
    };
    for (int i = 2; i < f.width - 2; ++i) column(i, i - 2, i + 2);
    for (int i = 0; i < 2; ++i) {
        column(i, i, i + 2);
        column(f.width - 2 + i, f.width - 4 + i, f.width - 2 + i);
    }
}

// Adds a row of derivatives to the sums in double, and their magnitudes, in units of 2**-20 pixels, to `columns`.
void add_row(int width, const float* __restrict d_col, const float* __restrict d_row, double* __restrict sum_col,
             double* __restrict sum_row, double* __restrict rounded, int64_t* __restrict columns)
{
    constexpr double UNITS_PER_PIXEL = 1 << 20;
    constexpr double ROUNDER = 6755399441055744.0;  // 1.5 * 2**52: the last bits of a sum are the rounded number
    constexpr int64_t ROUNDER_BITS = 0x4338000000000000;
    for (int i = 0; i < width; ++i) {
        const double across = d_col[i], down = d_row[i];
        sum_col[i] += across;
        sum_row[i] += down;
        rounded[i] = std::sqrt(across * across + down * down) * UNITS_PER_PIXEL + ROUNDER;
    }
    for (int i = 0; i < width; ++i) {
        int64_t bits;
        std::memcpy(&bits, rounded + i, sizeof bits);
        columns[i] += bits - ROUNDER_BITS;
    }
}

// Integral images of the fields, at the rows where crops begin or end only.
class RowLines {
public:
    RowLines(const FieldsProblem& p) : p_(p), width_(2 * (p.cols + 1)), line_of_(p.rows + 1), lines_(find_lines(p)),
          sums_(size_t(lines_) * p.fields * width_)
    {
    }

    // Stores the sums of a field over all rows before `row`, if a crop begins or ends there.
    void store(int row, int field, const int64_t* columns)
    {
        if (!line_of_[row]) return;
        int64_t* sums = at(row, field);
        for (int i = 0; i < 2 * p_.cols; ++i) sums[i + 2] = sums[i] + columns[i];
    }

    void write()
    {
        for (int component = 0; component < 2; ++component)
            for (int field = 0; field < p_.fields; ++field) {
                p_.of_frame[component * p_.fields + field] = at(p_.rows, field)[2 * p_.cols + component];
                for (int crop = 0; crop < p_.crops.count; ++crop)
                    p_.of_crops[(crop * 2 + component) * p_.fields + field] = crop_sum(crop, field, component);
            }
    }

private:
    int find_lines(const FieldsProblem& p)
    {
        line_of_[p.rows] = 1;
        for (int crop = 0; crop < p.crops.count; ++crop)
            line_of_[p.crops.offsets[2 * crop]] = line_of_[p.crops.offsets[2 * crop] + p.patterns.view] = 1;
        int lines = 0;
        for (int row = 0; row <= p.rows; ++row)
            if (line_of_[row]) line_of_[row] = ++lines;  // from 1; 0: no line
        return lines;
    }

    int64_t* at(int row, int field) { return sums_.data() + (size_t(line_of_[row] - 1) * p_.fields + field) * width_; }

    int64_t crop_sum(int crop, int field, int component)
    {
        const int top = p_.crops.offsets[2 * crop], left = 2 * p_.crops.offsets[2 * crop + 1] + component;
        const int view = p_.patterns.view, right = left + 2 * view;
        const int64_t *above = at(top, field), *below = at(top + view, field);
        return below[right] - above[right] - below[left] + above[left];
    }

    const FieldsProblem& p_;
    const int width_;
    Array<int> line_of_;
    const int lines_;
    Array<int64_t> sums_;  // (lines, fields, cols + 1, 2)
};

void field_sums(const FieldsProblem& p)
{
    const int width = 2 * p.cols;
    Array<float> derivatives(2 * width);
    Array<double> sums(2 * width), rounded(width);
    Array<int64_t> columns(size_t(p.fields) * width);
    RowLines lines(p);
    float *d_col = derivatives.data(), *d_row = d_col + width;
    double *sum_col = sums.data(), *sum_row = sum_col + width;
    for (int row = 0; row < p.rows; ++row) {
        std::memset(sums.data(), 0, 2 * width * sizeof(double));
        for (int field = 0; field < p.fields; ++field) {
            const float* at = p.flow + (size_t(field) * p.rows + row) * width;
            const bool first = row == 0, last = row == p.rows - 1;
            const FieldRows rows = {first ? at : at - width, at, last ? at : at + width, width, first || last};
            p.prewitt ? prewitt(rows, d_col, d_row) : central_differences(rows, d_col, d_row);
            int64_t* of_field = columns.data() + size_t(field) * width;
            add_row(width, d_col, d_row, sum_col, sum_row, rounded.data(), of_field);
            lines.store(row + 1, field, of_field);
        }
        for (int i = 0; i < width; ++i) {
            float* out = p.boundaries + ((size_t(i % 2) * p.rows + row) * p.cols + i / 2) * 2;
            out[0] = float(sum_col[i]);
            out[1] = float(sum_row[i]);
        }
    }
    lines.write();
}

}  // namespace
