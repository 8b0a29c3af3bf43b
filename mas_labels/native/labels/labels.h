// Shared by the binding and the builds of labels.cpp: the arguments of each pass, and one kernel per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

constexpr int CHANNELS = 3;
constexpr int OCTANTS = 8;
constexpr int ORIENTATIONS = 8;

// The patterns of a view (mas_labels/labels/patterns.py), in pixels. Blocks are numbered from 0: those of the grid, the
// rings, the triangles; the number after the last block stands for the whole view.
struct Patterns {
    int view, grid_block, ring_width;  // view even; grid_block divides it, ring_width divides half of it

    int half() const { return view / 2; }
    int grid() const { return view / grid_block; }  // blocks in a row
    int rings() const { return half() / ring_width; }
    int first_ring() const { return grid() * grid(); }
    int first_triangle() const { return first_ring() + rings(); }
    int blocks() const { return first_triangle() + 8; }
};

struct Crops {
    const int32_t* offsets;  // (count, 2): top, left; sorted
    int count;
};

struct FieldsProblem {
    const float* flow;  // (fields, rows, cols, 2)
    int fields, rows, cols;
    bool prewitt;  // else central differences
    Patterns patterns;
    Crops crops;
    float* boundaries;  // (2, rows, cols, 2): Mu and Mv
    int64_t* of_crops;  // (crops, 2, fields)
    int64_t* of_frame;  // (2, fields)
};

struct VotesProblem {
    const uint8_t* bins;   // (layers, rows, cols), below ORIENTATIONS
    const int64_t* votes;  // (layers, rows, cols)
    int layers, rows, cols;
    Patterns patterns;
    Crops crops;
    bool shared_diagonals;
    int64_t* sums;  // (crops, blocks, ORIENTATIONS)
};

struct ColoursProblem {
    const uint8_t* frames;  // (count, rows, cols, CHANNELS)
    int count, rows, cols;
    Patterns patterns;
    Crops crops;
    bool shared_diagonals;
    int64_t *intersection, *union_;  // (crops, blocks, CHANNELS)
    int64_t* octants;                // (crops, blocks, OCTANTS)
};

struct FrequentProblem {
    const uint8_t* frames;  // (count, rows, cols, CHANNELS)
    int count, rows, cols;
    Patterns patterns;
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

extern const LabelsKernel labels_portable, labels_avx2, labels_avx512;
