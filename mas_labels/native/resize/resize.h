// Area averages of frames; see mas_labels/video/area_average.py.
#pragma once

#include <cstddef>
#include <cstdint>

// The pixels that an output row or column averages: those from `starts` on, and their weights, followed by zeros.
struct Averages {
    const int32_t* starts;  // (count)
    const float* weights;   // (count, taps)
    int count, taps;
};

struct ResizeProblem {
    const uint8_t* bgr;  // (rows, cols, 3)
    int rows, cols;
    Averages down, across;
    uint8_t* rgb;  // (down.count, across.count, 3)
};

struct ResizeKernel {
    const char* isa;
    void (*area_average)(const ResizeProblem&);  // throws std::bad_alloc if there is not enough memory
};

extern const ResizeKernel resize_portable, resize_avx2, resize_avx512;
