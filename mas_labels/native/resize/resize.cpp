// Area averages of a BGR frame, as RGB. The operations are those of OpenCV's INTER_AREA in the same order: each row is
// averaged along its columns first, in float, then the rows are; the result is bit-identical.
#include "resize.h"

#include <cstring>

#include "array.h"

namespace {

constexpr int CHANNELS = 3;
typedef float Pixel __attribute__((vector_size(16)));  // a pixel, and the first channel of the next one

Pixel load(const float* from)
{
    Pixel pixel;
    std::memcpy(&pixel, from, sizeof pixel);
    return pixel;
}

// TAPS is 0 if the number of taps is not known at compile time.
template <int TAPS>
void average_columns(const Averages& across, const float* __restrict row, float* __restrict out)
{
    const int taps = TAPS ? TAPS : across.taps;
    const float* weight = across.weights;
    for (int col = 0; col < across.count; ++col, weight += taps) {
        const float* from = row + across.starts[col] * CHANNELS;
        Pixel sum = load(from) * weight[0];
        for (int tap = 1; tap < taps; ++tap) sum += load(from + tap * CHANNELS) * weight[tap];
        std::memcpy(out + col * CHANNELS, &sum, sizeof sum);  // the next pixel overwrites the last number
    }
}

// Rounds to the nearest integer, half to even, and turns BGR into RGB.
void write_row(int cols, const float* __restrict sums, uint8_t* __restrict bytes, uint8_t* __restrict rgb)
{
    constexpr float ROUNDER = 12582912.0f;  // 1.5 * 2**23: the last bits of a sum are the rounded number
    for (int i = 0; i < cols * CHANNELS; ++i) {
        const float rounded = sums[i] + ROUNDER;
        uint32_t bits;
        std::memcpy(&bits, &rounded, sizeof bits);
        bytes[i] = uint8_t(bits);
    }
    for (int col = 0; col < cols; ++col, bytes += CHANNELS, rgb += CHANNELS) {
        rgb[0] = bytes[2];
        rgb[1] = bytes[1];
        rgb[2] = bytes[0];
    }
}

void area_average(const ResizeProblem& p)
{
    const int numbers = p.cols * CHANNELS, averages = p.across.count * CHANNELS;
    const int taps = p.across.taps;
    const auto average = taps == 2   ? average_columns<2>
                         : taps == 3 ? average_columns<3>
                         : taps == 4 ? average_columns<4>
                                     : average_columns<0>;
    Array<float> row(numbers + (taps + 1) * CHANNELS), averaged(averages + 1), sums(averages);
    Array<uint8_t> bytes(averages);
    int averaged_row = -1;  // the row that `averaged` holds: the last of an output row is often the first of the next
    for (int out = 0; out < p.down.count; ++out) {
        const float* weights = p.down.weights + size_t(out) * p.down.taps;
        for (int tap = 0; tap < p.down.taps && weights[tap] != 0.0f; ++tap) {
            const int at = p.down.starts[out] + tap;
            if (at != averaged_row) {
                const uint8_t* bgr = p.bgr + size_t(at) * numbers;
                for (int i = 0; i < numbers; ++i) row[i] = bgr[i];
                average(p.across, row.data(), averaged.data());
                averaged_row = at;
            }
            const float weight = weights[tap];
            float* __restrict sum = sums.data();
            const float* __restrict of_row = averaged.data();
            if (tap == 0)
                for (int i = 0; i < averages; ++i) sum[i] = of_row[i] * weight;
            else
                for (int i = 0; i < averages; ++i) sum[i] += of_row[i] * weight;
        }
        write_row(p.across.count, sums.data(), bytes.data(), p.rgb + size_t(out) * averages);
    }
}

}  // namespace

extern const ResizeKernel MAS_KERNEL;
const ResizeKernel MAS_KERNEL = {MAS_ISA_NAME, area_average};
