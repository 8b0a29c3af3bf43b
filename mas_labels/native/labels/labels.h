// Shared by the binding and the builds of labels.cpp: the arguments of each pass, and one kernel per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

constexpr int VIEW = 112;       // side of a view (mas_labels/schema.py)
constexpr int BLOCKS = 28;      // of the grid (16), the rings (4) and the triangles (8), in this order
constexpr int WHOLE_VIEW = 28;  // stands for the whole view instead of a block
constexpr int CHANNELS = 3;
constexpr int OCTANTS = 8;
constexpr int ORIENTATIONS = 8;

struct Crops {
    const int32_t* offsets;  // (count, 2): top, left; sorted
    int count;
};

struct FieldsProblem {
    const float* flow;  // (fields, rows, cols, 2)
    int fields, rows, cols;
    bool prewitt;  // else central differences
    Crops crops;
    float* boundaries;  // (2, rows, cols, 2): Mu and Mv
    int64_t* of_crops;  // (crops, 2, fields)
    int64_t* of_frame;  // (2, fields)
};

struct VotesProblem {
    const uint8_t* bins;   // (layers, rows, cols), below ORIENTATIONS
    const int64_t* votes;  // (layers, rows, cols)
    int layers, rows, cols;
    Crops crops;
    bool shared_diagonals;
    int64_t* sums;  // (crops, BLOCKS, ORIENTATIONS)
};

struct ColoursProblem {
    const uint8_t* frames;  // (count, rows, cols, CHANNELS)
    int count, rows, cols;
    Crops crops;
    bool shared_diagonals;
    int64_t *intersection, *union_;  // (crops, BLOCKS, CHANNELS)
    int64_t* octants;                // (crops, BLOCKS, OCTANTS)
};

struct FrequentProblem {
    const uint8_t* frames;  // (count, rows, cols, CHANNELS)
    int count, rows, cols;
    const int32_t* queries;  // (n_queries, 3): top, left, block
    int n_queries;
    bool shared_diagonals;
    int64_t* codes;  // (n_queries): r + 256 g + 65536 b
};

// All functions throw std::bad_alloc if there is not enough memory, and nothing else.
struct LabelsKernel {
    const char* isa;
    void (*field_sums)(const FieldsProblem&);
    void (*vote_sums)(const VotesProblem&);
    void (*colour_sums)(const ColoursProblem&);
    void (*frequent_colours)(const FrequentProblem&);
};

extern const LabelsKernel labels_portable;
#if defined(__x86_64__)
extern const LabelsKernel labels_avx2, labels_avx512;
#endif
