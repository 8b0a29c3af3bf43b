// Shared by the binding and the builds of tvl1.cpp: the options and arguments, and one kernel per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

struct Tvl1Options {
    double tau, lambda, theta;  // time step, attachment weight, tightness (Zach, Pock, Bischof 2007)
    int nscales, warps;
    double epsilon;  // stop when the mean squared change of u is below epsilon^2
    int inner_iterations, outer_iterations;
    double scale_step;
    int median_filtering;  // side of the filter, 3 or 5; none if 1 or less
};

struct Tvl1Problem {
    Tvl1Options options;
    int frames, rows, cols;
    const uint8_t* grey_u8;     // (frames, rows, cols), or null
    const float* grey_f32;      // otherwise the same in [0, 1]
    const float* initial_flow;  // (frames - 1, rows, cols, 2) or null
    float* flow;                // (frames - 1, rows, cols, 2)
};

struct Tvl1Kernel {
    const char* isa;
    size_t (*workspace_bytes)(const Tvl1Problem&);
    void (*solve)(const Tvl1Problem&, char* zeroed_workspace);  // aligned to 64 bytes
};

extern const Tvl1Kernel tvl1_portable, tvl1_avx2, tvl1_avx512;
