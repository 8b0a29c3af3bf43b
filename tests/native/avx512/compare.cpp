// Compares the AVX-512 builds of all kernels with the AVX2 builds, bit by bit, on synthetic clips.
//
// A statically linked program, so that it can be the first process of an emulated machine (see run_emulated.py). Ends
// with status 1, and a last line that says so, if any bit differs.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>
#include <vector>

#include "checksum.h"
#include "labels.h"
#include "resize.h"
#include "tvl1.h"

namespace {

int differences = 0;

void report(const char* name, int rows, int cols, double mean, bool same)
{
    differences += !same;
    std::printf("%s, %d x %d, mean %.4f: %s\n", name, rows, cols, mean, same ? "the same bits" : "DIFFERENT");
    std::fflush(stdout);
}

// Moving waves with noise, identical on every machine.
std::vector<uint8_t> clip(int frames, int rows, int cols, int channels)
{
    std::vector<uint8_t> out;
    uint32_t seed = 1;
    for (int t = 0; t < frames; ++t)
        for (int row = 0; row < rows; ++row)
            for (int col = 0; col < cols; ++col)
                for (int channel = 0; channel < channels; ++channel) {
                    seed = seed * 1664525u + 1013904223u;
                    const double wave = std::sin((col + 1.3 * t) * 0.35 + channel) * std::cos((row - 0.7 * t) * 0.27);
                    out.push_back((uint8_t)(125 + 60 * wave + 40 * std::sin((row + col - 2 * t) * 0.15) + (seed >> 24) % 9));
                }
    return out;
}

template <class T> double mean_size(const std::vector<T>& values)
{
    double sum = 0;
    for (T value : values) sum += std::fabs((double)value);
    return sum / (double)values.size();
}

template <class T> bool same_bits(const std::vector<T>& a, const std::vector<T>& b)
{
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// ------------------------------------------------------------------------------------- TV-L1

std::vector<float> flow_of(const Tvl1Kernel& kernel, Tvl1Problem problem)
{
    std::vector<float> flow((size_t)problem.rows * problem.cols * 2 * (problem.frames - 1));
    problem.flow = flow.data();
    const size_t bytes = (kernel.workspace_bytes(problem) + 63) / 64 * 64;
    char* workspace = (char*)std::aligned_alloc(64, bytes);
    std::memset(workspace, 0, bytes);
    kernel.solve(problem, workspace);
    std::free(workspace);
    return flow;
}

void compare_tvl1(int frames, int rows, int cols, int median, bool as_float)
{
    const std::vector<uint8_t> grey = clip(frames, rows, cols, 1);
    std::vector<float> unit;
    for (uint8_t value : grey) unit.push_back((float)value / 255);
    Tvl1Problem problem = {};
    problem.options = {0.25, 0.15, 0.3, 5, 5, 0.01, 30, 10, 0.8, median};
    problem.frames = frames;
    problem.rows = rows;
    problem.cols = cols;
    if (as_float) problem.grey_f32 = unit.data();
    else problem.grey_u8 = grey.data();
    const std::vector<float> ours = flow_of(tvl1_avx512, problem);
    report("flow", rows, cols, mean_size(ours), same_bits(ours, flow_of(tvl1_avx2, problem)));
}

// ------------------------------------------------------------------------------------- labels

struct Sums {
    std::vector<float> boundaries;
    std::vector<int64_t> numbers;
};

// Runs all four passes on one clip and concatenates the integers that they compute.
Sums sums_of(const LabelsKernel& kernel, int rows, int cols, const Patterns& patterns, bool first_convention)
{
    constexpr int FRAMES = 4, FIELDS = FRAMES - 1;
    const int view = patterns.view, blocks = patterns.blocks();
    const std::vector<uint8_t> frames = clip(FRAMES, rows, cols, CHANNELS);
    const size_t pixels = (size_t)rows * cols;
    std::vector<float> flow;
    for (size_t n = 0; n < FIELDS * pixels * 2; ++n) flow.push_back((float)frames[n % frames.size()] / 16 - 8);
    const std::vector<int32_t> offsets = {0, 0, 0, cols - view, rows - view, 0, rows - view, cols - view};
    const Crops crops = {offsets.data(), 4};
    std::vector<uint8_t> bins;
    std::vector<int64_t> votes;
    for (size_t n = 0; n < pixels; ++n) { bins.push_back(frames[n] % ORIENTATIONS); votes.push_back(frames[n] * 1000 + n); }
    std::vector<int32_t> queries;
    for (int n = 0; n < crops.count; ++n)
        for (int block = 0; block <= blocks; ++block)
            queries.insert(queries.end(), {offsets[2 * n], offsets[2 * n + 1], block});

    Sums out;
    out.boundaries.resize(pixels * 4);
    std::vector<int64_t> of_crops(2 * crops.count * FIELDS), of_frame(2 * FIELDS), voted(crops.count * blocks * ORIENTATIONS);
    std::vector<int64_t> both(crops.count * blocks * CHANNELS), either(both.size()), octants(crops.count * blocks * OCTANTS);
    std::vector<int64_t> codes(queries.size() / 3);
    kernel.field_sums({flow.data(), FIELDS, rows, cols, first_convention, patterns, crops, out.boundaries.data(),
                       of_crops.data(), of_frame.data()});
    kernel.vote_sums({bins.data(), votes.data(), 1, rows, cols, patterns, crops, first_convention, voted.data()});
    kernel.colour_sums({frames.data(), FRAMES, rows, cols, patterns, crops, first_convention, both.data(), either.data(),
                        octants.data()});
    kernel.frequent_colours({frames.data(), FRAMES, rows, cols, patterns, queries.data(), (int)codes.size(),
                             first_convention, codes.data()});
    for (const auto& part : {of_crops, of_frame, voted, both, either, octants, codes})
        out.numbers.insert(out.numbers.end(), part.begin(), part.end());
    return out;
}

void compare_labels(int rows, int cols, const Patterns& patterns, bool first_convention)
{
    const Sums ours = sums_of(labels_avx512, rows, cols, patterns, first_convention);
    const Sums other = sums_of(labels_avx2, rows, cols, patterns, first_convention);
    report("sums", rows, cols, mean_size(ours.numbers),
           same_bits(ours.numbers, other.numbers) && same_bits(ours.boundaries, other.boundaries));
}

// ------------------------------------------------------------------------------------- resize

// Halves each side: cells of two pixels and a bit, with weights that are no powers of two.
void compare_resize(int rows, int cols)
{
    const std::vector<uint8_t> frame = clip(1, rows, cols, CHANNELS);
    std::vector<int32_t> starts;
    std::vector<float> weights;
    for (int cell = 0; 2 * cell + 2 < (rows < cols ? rows : cols); ++cell) {
        starts.push_back(2 * cell);
        weights.insert(weights.end(), {0.4f, 0.35f, 0.25f});
    }
    const Averages cells = {starts.data(), weights.data(), int(starts.size()), 3};
    std::vector<uint8_t> ours(starts.size() * starts.size() * CHANNELS), other(ours.size());
    resize_avx512.area_average({frame.data(), rows, cols, cells, cells, ours.data()});
    resize_avx2.area_average({frame.data(), rows, cols, cells, cells, other.data()});
    report("resize", rows, cols, ours[0], same_bits(ours, other));
}

// ------------------------------------------------------------------------------------- checksum

void compare_checksum(int rows, int cols)
{
    const std::vector<uint8_t> data = clip(16, rows, cols, CHANNELS);
    const std::vector<uint32_t> ours = {checksum_avx512.fletcher32(data.data(), data.size())};
    report("checksum", rows, cols, ours[0], same_bits(ours, {checksum_avx2.fletcher32(data.data(), data.size())}));
}

}  // namespace

int main()
{
    for (const auto& [rows, cols] : {std::pair{1, 1}, {3, 7}, {17, 31}, {128, 171}}) compare_checksum(rows, cols);
    for (const auto& [rows, cols] : {std::pair{3, 7}, {17, 31}, {128, 171}}) compare_resize(rows, cols);
    for (const auto& [rows, cols] : {std::pair{16, 16}, {17, 31}, {16, 33}, {33, 48}, {40, 65}, {48, 171}}) {
        compare_tvl1(3, rows, cols, 5, false);
        compare_tvl1(3, rows, cols, 3, true);
    }
    for (bool convention : {false, true}) {
        for (const auto& [rows, cols] : {std::pair{112, 112}, {128, 171}})
            compare_labels(rows, cols, {112, 28, 14}, convention);
        compare_labels(100, 120, {96, 32, 16}, convention);
        compare_labels(190, 201, {182, 182, 91}, convention);  // blocks whose counts need 32 bits
    }
    compare_tvl1(2, 128, 171, 5, false);
    std::puts(differences ? "AVX-512 AND AVX2 DIFFER" : "AVX-512 AND AVX2 AGREE");
    std::fflush(stdout);
    while (getpid() == 1) sleep(1000);  // the first process of a machine must not end
    return differences != 0;
}
