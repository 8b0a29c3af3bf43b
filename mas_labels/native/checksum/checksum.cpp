// HDF5's fletcher32 checksum, vectorised; see mas_labels/shards/digests.py.
//
// For 16-bit words w[0] .. w[n - 1] it consists of the sum of all w[i] and the sum of all (n - i) w[i], modulo 65535.
// In HDF5 the first byte of a word is the high one. Swapping the bytes is a multiplication by 256 modulo 65535, so
// words are summed in the byte order of this processor, and the two sums are multiplied once.
#include "checksum.h"

#include <cstring>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "expected a little-endian processor");

namespace {

constexpr uint64_t MODULUS = 65535;
constexpr int LANES = 8, VECTORS = 4;          // words that are summed in parallel
constexpr int STRIDE = LANES * VECTORS;
constexpr int STEPS = 256;                      // 65535 * (1 + .. + 256) fits in 32 bits; 361 steps still would
typedef uint16_t Words __attribute__((vector_size(2 * LANES)));
typedef uint32_t Sums __attribute__((vector_size(4 * LANES)));

struct Totals {
    uint64_t plain = 0;     // sum of w[i], not reduced: 0 only if every word is 0
    uint64_t weighted = 0;  // sum of (n - i) w[i], modulo 65535

    // Appends words whose sums are given.
    void add(uint64_t words, uint64_t sum, uint64_t weighted_sum)
    {
        weighted = (weighted + words * (plain % MODULUS) + weighted_sum) % MODULUS;
        plain += sum;
    }
};

// Adds steps * STRIDE words. Lane k of step s has the weight (steps - s) * STRIDE - k in this block.
void add_block(Totals& totals, const uint8_t* data, int steps)
{
    Sums sums[VECTORS] = {}, weighted[VECTORS] = {};
    for (int step = 0; step < steps; ++step, data += 2 * STRIDE)
        for (int v = 0; v < VECTORS; ++v) {
            Words words;
            std::memcpy(&words, data + 2 * LANES * v, sizeof words);
            sums[v] += __builtin_convertvector(words, Sums);
            weighted[v] += sums[v];
        }
    uint64_t sum = 0, weighted_sum = 0;
    for (int k = 0; k < STRIDE; ++k) {
        const uint64_t lane_sum = sums[k / LANES][k % LANES];
        sum += lane_sum;
        weighted_sum += (uint64_t)STRIDE * weighted[k / LANES][k % LANES] - k * lane_sum;
    }
    totals.add((uint64_t)steps * STRIDE, sum, weighted_sum);
}

// Reduces a sum as HDF5 does: multiples of 65535 become 65535, and 0 if all words are 0.
uint32_t reduced(uint64_t sum, bool all_zero)
{
    const uint64_t rest = sum % MODULUS * 256 % MODULUS;
    return rest || all_zero ? (uint32_t)rest : (uint32_t)MODULUS;
}

uint32_t fletcher32(const uint8_t* data, size_t bytes)
{
    Totals totals;
    size_t strides = bytes / (2 * STRIDE);
    for (; strides > 0;) {
        const int steps = strides < STEPS ? (int)strides : STEPS;
        add_block(totals, data, steps);
        data += (size_t)2 * STRIDE * steps;
        strides -= steps;
    }
    for (size_t left = bytes % (2 * STRIDE); left > 0; data += 2, left -= left > 1 ? 2 : 1) {
        const uint64_t word = data[0] | (left > 1 ? data[1] << 8 : 0);
        totals.add(1, word, word);
    }
    return reduced(totals.weighted, !totals.plain) << 16 | reduced(totals.plain, !totals.plain);
}

}  // namespace

extern const ChecksumKernel MAS_KERNEL;
const ChecksumKernel MAS_KERNEL = {MAS_ISA_NAME, fletcher32};
