// The sums for the appearance labels (mas_labels/labels/appearance.py): for every block of every crop, the intersection
// and union over time of the histogram of each channel, and the number of pixels in each octant of RGB.
#pragma once

#include <cstring>

#include "array.h"
#include "block_histograms.h"
#include "labels.h"

namespace {

constexpr int LEVELS = 256;

// Types of the counts of levels in a block. 16 bits, which pass through the caches and vectors in half the time, hold
// counts below 2**15, signed, since SSE2 has minima of signed words only. Larger blocks need 32 bits.
struct Counts16 {
    using Unsigned = uint16_t;
    using Signed = int16_t;
    using Sum = int32_t;
    static constexpr int64_t LARGEST = INT16_MAX;
};

struct Counts32 {
    using Unsigned = uint32_t;
    using Signed = int32_t;
    using Sum = int64_t;
};

// The number of pixels of the largest block.
int64_t largest_block(const Patterns& p)
{
    const int64_t grid = int64_t(p.grid_block) * p.grid_block, ring = 4LL * p.ring_width * (p.view - p.ring_width);
    const int64_t triangle = int64_t(p.half()) * (p.half() + 1) / 2, larger = grid > ring ? grid : ring;
    return larger > triangle ? larger : triangle;
}

// Counts the levels of one channel of a frame: (rows, cols).
struct CountLevels {
    const uint8_t* plane;
    int cols;

    template <class T>
    void operator()(T* histogram, int col, int begin, int end) const
    {
        const uint8_t* pixel = plane + size_t(begin) * cols + col;
#pragma GCC unroll 7  // half of the rows between two lines, by default
        for (int row = begin; row < end; ++row, pixel += cols) ++histogram[*pixel];
    }
};

// Counts the octants of up to 255 frames: (rows, cols, OCTANTS), the number of frames in which a pixel is in each.
struct CountOctants {
    const uint8_t* counts;
    int cols;

    void operator()(uint32_t* __restrict histogram, int col, int begin, int end) const
    {
        const uint8_t* pixel = counts + (size_t(begin) * cols + col) * OCTANTS;
#pragma GCC unroll 7
        for (int row = begin; row < end; ++row, pixel += size_t(cols) * OCTANTS)
            for (int n = 0; n < OCTANTS; ++n) histogram[n] += pixel[n];
    }
};

// Smallest and largest count of each level in each block of a crop so far.
template <class Counts>
struct Extremes {
    typename Counts::Signed *__restrict smallest, *__restrict largest;  // (numbers)
    size_t numbers;                                                      // blocks * LEVELS

    void begin(const typename Counts::Unsigned* counts)
    {
        std::memcpy(smallest, counts, numbers * sizeof *smallest);
        std::memcpy(largest, counts, numbers * sizeof *largest);
    }

    void update(const typename Counts::Unsigned* __restrict counts)
    {
        for (size_t at = 0; at < numbers; at += LEVELS)
            for (size_t n = at; n < at + LEVELS; ++n) {
                const auto count = typename Counts::Signed(counts[n]);
                smallest[n] = count < smallest[n] ? count : smallest[n];
                largest[n] = count > largest[n] ? count : largest[n];
            }
    }

    void write(int64_t* intersection, int64_t* union_) const
    {
        for (size_t at = 0; at < numbers; at += LEVELS, intersection += CHANNELS, union_ += CHANNELS) {
            typename Counts::Sum least = 0, most = 0;
            for (size_t n = at; n < at + LEVELS; ++n) {
                least += smallest[n];
                most += largest[n];
            }
            *intersection = least;
            *union_ = most;
        }
    }
};

template <class Counts>
void level_sums(const ColoursProblem& p, const uint8_t* planes, const Row& crops, int first)
{
    const size_t plane = size_t(p.rows) * p.cols, blocks = p.patterns.blocks(), numbers = blocks * LEVELS;
    Array<typename Counts::Signed> extremes(crops.count * 2 * numbers);
    const auto of_crop = [&](int crop) {
        auto* smallest = extremes.data() + crop * 2 * numbers;
        return Extremes<Counts>{smallest, smallest + numbers, numbers};
    };
    BlockHistograms<typename Counts::Unsigned, LEVELS> histograms(p.patterns, p.cols, crops, p.shared_diagonals);
    Array<typename Counts::Unsigned> counts(numbers);
    for (int channel = 0; channel < CHANNELS; ++channel) {
        for (int frame = 0; frame < p.count; ++frame) {
            const CountLevels count = {planes + (size_t(channel) * p.count + frame) * plane, p.cols};
            histograms.sweep(count);
            for (int crop = 0; crop < crops.count; ++crop) {
                histograms.blocks(crops.left(crop), count, counts.data());
                frame == 0 ? of_crop(crop).begin(counts.data()) : of_crop(crop).update(counts.data());
            }
        }
        for (int crop = 0; crop < crops.count; ++crop) {
            const size_t at = (first + crop) * blocks * CHANNELS + channel;
            of_crop(crop).write(p.intersection + at, p.union_ + at);
        }
    }
}

// Adds to the sums of octants.
void octant_sums(const ColoursProblem& p, const uint8_t* counts, const Row& crops, int first)
{
    BlockHistograms<uint32_t, OCTANTS> histograms(p.patterns, p.cols, crops, p.shared_diagonals);
    const CountOctants count = {counts, p.cols};
    histograms.sweep(count);
    const size_t numbers = size_t(p.patterns.blocks()) * OCTANTS;
    Array<uint32_t> blocks(numbers);
    for (int crop = 0; crop < crops.count; ++crop) {
        histograms.blocks(crops.left(crop), count, blocks.data());
        int64_t* out = p.octants + (first + crop) * numbers;
        for (size_t n = 0; n < numbers; ++n) out[n] += blocks[n];
    }
}

// Splits the pixels of a clip into planes. Not inlined: the compiler would forget that they do not overlap.
__attribute__((noinline)) void split_channels(size_t pixels, const uint8_t* __restrict rgb, uint8_t* __restrict red,
                                              uint8_t* __restrict green, uint8_t* __restrict blue)
{
    for (size_t n = 0; n < pixels; ++n) {
        red[n] = rgb[n * CHANNELS];
        green[n] = rgb[n * CHANNELS + 1];
        blue[n] = rgb[n * CHANNELS + 2];
    }
}

// Counts the octant of each pixel of a frame in one byte of eight. `shifts` is scratch: bytes are combined 64 at a time.
__attribute__((noinline)) void count_octants(size_t pixels, const uint8_t* __restrict red, const uint8_t* __restrict green,
                                             const uint8_t* __restrict blue, uint8_t* __restrict shifts,
                                             uint64_t* __restrict counts)
{
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "expected a little-endian processor");
    for (size_t n = 0; n < pixels; ++n) shifts[n] = (red[n] >> 7 << 5) | (green[n] >> 7 << 4) | (blue[n] >> 7 << 3);
    for (size_t n = 0; n < pixels; ++n) counts[n] += uint64_t(1) << shifts[n];
}

void colour_sums(const ColoursProblem& p)
{
    constexpr int MAX_COUNT = 255;  // frames
    const size_t plane = size_t(p.rows) * p.cols, pixels = p.count * plane;
    Array<uint8_t> planes(CHANNELS * pixels);
    uint8_t *red = planes.data(), *green = red + pixels, *blue = green + pixels;
    split_channels(pixels, p.frames, red, green, blue);
    const auto level_sums_of_row = largest_block(p.patterns) <= Counts16::LARGEST ? level_sums<Counts16> : level_sums<Counts32>;
    each_row(p.crops, [&](const Row& crops, int first) { level_sums_of_row(p, planes.data(), crops, first); });
    std::memset(p.octants, 0, sizeof *p.octants * p.crops.count * p.patterns.blocks() * OCTANTS);
    for (int begin = 0; begin < p.count; begin += MAX_COUNT) {
        Array<uint64_t> octants(plane);
        Array<uint8_t> shifts(plane);
        for (int frame = begin; frame < p.count && frame < begin + MAX_COUNT; ++frame)
            count_octants(plane, red + frame * plane, green + frame * plane, blue + frame * plane,
                          shifts.data(), octants.data());
        const auto* counts = reinterpret_cast<const uint8_t*>(octants.data());
        each_row(p.crops, [&](const Row& crops, int first) { octant_sums(p, counts, crops, first); });
    }
}

}  // namespace
