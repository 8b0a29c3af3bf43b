// The sums for the appearance labels (mas_labels/labels/appearance.py): for every block of every crop, the intersection
// and union over time of the histogram of each channel, and the number of pixels in each octant of RGB.
#pragma once

#include <cstring>

#include "array.h"
#include "block_histograms.h"
#include "labels.h"

namespace {

constexpr int LEVELS = 256;
constexpr int LEVELS_OF_BLOCKS = BLOCKS * LEVELS;

// Counts the levels of one channel of a frame, stored column by column: (cols, rows).
struct CountLevels {
    const uint8_t* plane;
    int rows;

    void operator()(uint16_t* histogram, int col, int begin, int end) const
    {
        const uint8_t* pixels = plane + size_t(col) * rows;
        for (int row = begin; row < end; ++row) ++histogram[pixels[row]];
    }
};

// Counts the octants of a clip: (cols, rows, OCTANTS), the number of frames in which a pixel is in each.
struct CountOctants {
    const uint16_t* counts;
    int rows;

    void operator()(uint32_t* __restrict histogram, int col, int begin, int end) const
    {
        const uint16_t* pixels = counts + size_t(col) * rows * OCTANTS;
        for (int row = begin; row < end; ++row)
            for (int n = 0; n < OCTANTS; ++n) histogram[n] += pixels[row * OCTANTS + n];
    }
};

// Smallest and largest count of each level in each block so far. Counts are below 2**15, and signed, since SSE2 has
// minima of signed words only.
struct Extremes {
    int16_t smallest[LEVELS_OF_BLOCKS], largest[LEVELS_OF_BLOCKS];

    void begin(const uint16_t* counts)
    {
        std::memcpy(smallest, counts, sizeof smallest);
        std::memcpy(largest, counts, sizeof largest);
    }

    void update(const uint16_t* counts)
    {
        for (int n = 0; n < LEVELS_OF_BLOCKS; ++n) {
            const int16_t count = int16_t(counts[n]);
            smallest[n] = count < smallest[n] ? count : smallest[n];
            largest[n] = count > largest[n] ? count : largest[n];
        }
    }

    void write(int64_t* intersection, int64_t* union_) const
    {
        for (int block = 0; block < BLOCKS; ++block) {
            int32_t least = 0, most = 0;
            for (int n = block * LEVELS; n < (block + 1) * LEVELS; ++n) {
                least += smallest[n];
                most += largest[n];
            }
            intersection[block * CHANNELS] = least;
            union_[block * CHANNELS] = most;
        }
    }
};

void level_sums(const ColoursProblem& p, const uint8_t* planes, const Row& crops, int first)
{
    const size_t plane = size_t(p.rows) * p.cols;
    Array<Extremes> extremes(crops.count);
    BlockHistograms<uint16_t, LEVELS> histograms(p.cols, crops, p.shared_diagonals);
    uint16_t blocks[LEVELS_OF_BLOCKS];
    for (int channel = 0; channel < CHANNELS; ++channel) {
        for (int frame = 0; frame < p.count; ++frame) {
            const CountLevels count = {planes + (size_t(channel) * p.count + frame) * plane, p.rows};
            histograms.sweep(count);
            for (int crop = 0; crop < crops.count; ++crop) {
                histograms.blocks(crops.left(crop), count, blocks);
                frame == 0 ? extremes[crop].begin(blocks) : extremes[crop].update(blocks);
            }
        }
        for (int crop = 0; crop < crops.count; ++crop) {
            const size_t at = size_t(first + crop) * BLOCKS * CHANNELS + channel;
            extremes[crop].write(p.intersection + at, p.union_ + at);
        }
    }
}

void octant_sums(const ColoursProblem& p, const uint16_t* counts, const Row& crops, int first)
{
    BlockHistograms<uint32_t, OCTANTS> histograms(p.cols, crops, p.shared_diagonals);
    const CountOctants count = {counts, p.rows};
    histograms.sweep(count);
    uint32_t blocks[BLOCKS * OCTANTS];
    for (int crop = 0; crop < crops.count; ++crop) {
        histograms.blocks(crops.left(crop), count, blocks);
        int64_t* out = p.octants + size_t(first + crop) * BLOCKS * OCTANTS;
        for (int n = 0; n < BLOCKS * OCTANTS; ++n) out[n] = blocks[n];
    }
}

void colour_sums(const ColoursProblem& p)
{
    const size_t plane = size_t(p.rows) * p.cols, pixels = p.count * plane;
    Array<uint8_t> planes(CHANNELS * pixels);
    Array<uint16_t> octants(plane * OCTANTS);
    for (int frame = 0; frame < p.count; ++frame)
        for (int col = 0; col < p.cols; ++col) {
            const uint8_t* rgb = p.frames + (frame * plane + col) * CHANNELS;
            size_t at = size_t(col) * p.rows;
            for (int row = 0; row < p.rows; ++row, ++at, rgb += p.cols * CHANNELS) {
                for (int channel = 0; channel < CHANNELS; ++channel)
                    planes[channel * pixels + frame * plane + at] = rgb[channel];
                ++octants[at * OCTANTS + (rgb[0] >> 7 << 2 | rgb[1] >> 7 << 1 | rgb[2] >> 7)];
            }
        }
    each_row(p.crops, [&](const Row& crops, int first) {
        level_sums(p, planes.data(), crops, first);
        octant_sums(p, octants.data(), crops, first);
    });
}

}  // namespace
