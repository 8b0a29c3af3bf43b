// HDF5's fletcher32 checksum; see mas_labels/shards/digests.py.
#pragma once

#include <cstddef>
#include <cstdint>

struct ChecksumKernel {
    const char* isa;
    uint32_t (*fletcher32)(const uint8_t* data, size_t bytes);
};

extern const ChecksumKernel checksum_portable, checksum_avx2, checksum_avx512;
