// Images in row-major order: bilinear resizing, the copy of I1 for the warp, and its bicubic samples.
#pragma once

#include "layout.h"

namespace {

// Position of the centre of an output pixel among the input pixels, clamped to the border.
struct Tap { int index; float fraction; };

MAS_INLINE Tap linear_tap(int output, double scale, int length)
{
    const float position = (float)((output + 0.5) * scale - 0.5);
    int index = (int)__builtin_floorf(position);
    float fraction = position - (float)index;
    if (index < 0) { index = 0; fraction = 0; }
    if (index >= length - 1) { index = length - 1; fraction = 0; }
    return {index, fraction};
}

// Scratch memory of `resize`: one tap per column and two interpolated rows.
struct ResizeScratch { Tap* taps; float* rows[2]; };

static void interpolate_columns(const float* in, int in_cols, float* out, int out_cols, const Tap* taps)
{
    for (int col = 0; col < out_cols; ++col) {
        const int left = taps[col].index, right = left + (left < in_cols - 1);
        out[col] = in[left] * (1 - taps[col].fraction) + in[right] * taps[col].fraction;
    }
}

// Resizes bilinearly, without smoothing first; scales are input pixels per output pixel. `gain` multiplies the result.
static void resize(const float* in, int in_rows, int in_cols, float* out, int out_rows, int out_cols,
                   double row_scale, double col_scale, float gain, const ResizeScratch& scratch)
{
    for (int col = 0; col < out_cols; ++col) scratch.taps[col] = linear_tap(col, col_scale, in_cols);
    float *upper = scratch.rows[0], *lower = scratch.rows[1];
    int loaded = -2;  // `upper` holds this input row, `lower` the next one
    for (int row = 0; row < out_rows; ++row) {
        const Tap tap = linear_tap(row, row_scale, in_rows);
        const int below = tap.index + (tap.index < in_rows - 1);
        if (tap.index == loaded + 1) { float* swap = upper; upper = lower; lower = swap; }
        if (tap.index > loaded + 1)
            interpolate_columns(in + (size_t)tap.index * in_cols, in_cols, upper, out_cols, scratch.taps);
        if (tap.index != loaded)
            interpolate_columns(in + (size_t)below * in_cols, in_cols, lower, out_cols, scratch.taps);
        loaded = tap.index;
        const float w0 = 1 - tap.fraction, w1 = tap.fraction;
        float* target = out + (size_t)row * out_cols;
        for (int col = 0; col < out_cols; ++col) target[col] = (upper[col] * w0 + lower[col] * w1) * gain;
    }
}

// I1 for the warp: (I, Ix, Iy, 0) interleaved for each pixel, with a zero border wide enough for the 4 x 4 taps of any
// clamped position. One load then serves the image and both derivatives.
constexpr int BORDER = 4, TAP_CHANNELS = 4;

struct TapImage {
    float* data;
    int rows, cols, pitch;  // pitch: pixels per row, including the border
    float* at(int row, int col) const { return data + ((size_t)(row + BORDER) * pitch + col + BORDER) * TAP_CHANNELS; }
};

MAS_INLINE int tap_pitch(int cols) { return cols + 2 * BORDER + 1; }
MAS_INLINE size_t tap_floats(int rows, int cols) { return (size_t)tap_pitch(rows) * tap_pitch(cols) * TAP_CHANNELS; }

// Derivatives are central differences, and half one-sided ones at the border, as in OpenCV.
static TapImage build_tap_image(const float* image, int rows, int cols, float* data)
{
    const TapImage taps = {data, rows, cols, tap_pitch(cols)};
    constexpr size_t PIXEL = TAP_CHANNELS * sizeof(float);
    std::memset(data, 0, taps.pitch * PIXEL * BORDER);
    std::memset(taps.at(rows, -BORDER), 0, taps.pitch * PIXEL * (BORDER + 1));
    for (int row = 0; row < rows; ++row) {
        const float* here = image + (size_t)row * cols;
        const float* above = row > 0 ? here - cols : here;
        const float* below = row < rows - 1 ? here + cols : here;
        float* out = taps.at(row, 0);
        std::memset(taps.at(row, -BORDER), 0, PIXEL * BORDER);
        std::memset(taps.at(row, cols), 0, PIXEL * (BORDER + 1));
        const auto put = [=](int col, int left, int right) {
            out[col * TAP_CHANNELS] = here[col];
            out[col * TAP_CHANNELS + 1] = 0.5f * (here[right] - here[left]);
            out[col * TAP_CHANNELS + 2] = 0.5f * (below[col] - above[col]);
            out[col * TAP_CHANNELS + 3] = 0;
        };
        put(0, 0, 1);
        for (int col = 1; col < cols - 1; ++col) put(col, col - 1, col + 1);
        put(cols - 1, cols - 2, cols - 1);
    }
    return taps;
}

// Weights of the four taps around a position: cubic convolution with a = -0.75 (OpenCV's INTER_CUBIC).
MAS_INLINE void cubic_weights(F t, F* out)
{
    const F one = fill(1), a = fill(-0.75f), a2 = fill(1.25f), a3 = fill(2.25f);  // a + 2, a + 3
    const F far0 = t + one, near1 = one - t;
    const F w0 = fma(fma(fma(a, far0, fill(3.75f)), far0, fill(-6.0f)), far0, fill(3.0f));  // -5a, 8a, -4a
    const F w1 = fma(fma(a2, t, fill(0) - a3) * t, t, one);
    const F w2 = fma(fma(a2, near1, fill(0) - a3) * near1, near1, one);
    out[0] = w0;
    out[1] = w1;
    out[2] = w2;
    out[3] = one - w0 - w1 - w2;
}

// Index of the first tap and the weights of the taps of a position, clamped so that all taps are in the padded image.
MAS_INLINE I locate(F position, int length, F* weights)
{
    const F low = fill(-3), high = fill((float)(length + 2)), shift = fill(BORDER);
    const F inside = min(max(position, low), high) + shift;  // positive: truncation is floor
    const I index = truncate(inside);
    cubic_weights(inside - to_float(index), weights);
    return index;
}

}  // namespace
