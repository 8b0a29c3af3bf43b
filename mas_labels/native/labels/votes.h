// Votes for orientations (mas_labels/labels/motion.py), summed over the blocks of every crop.
#pragma once

#include "block_histograms.h"
#include "labels.h"

namespace {

struct CountVotes {
    const VotesProblem& p;

    void operator()(int64_t* histogram, int col, int begin, int end) const
    {
        for (int layer = 0; layer < p.layers; ++layer) {
            size_t at = (size_t(layer) * p.rows + begin) * p.cols + col;
#pragma GCC unroll 7
            for (int row = begin; row < end; ++row, at += p.cols) histogram[p.bins[at]] += p.votes[at];
        }
    }
};

void vote_sums(const VotesProblem& p)
{
    const size_t numbers = size_t(p.patterns.blocks()) * ORIENTATIONS;
    each_row(p.crops, [&](const Row& crops, int first) {
        BlockHistograms<int64_t, ORIENTATIONS> histograms(p.patterns, p.cols, crops, p.shared_diagonals);
        const CountVotes count = {p};
        histograms.sweep(count);
        for (int crop = 0; crop < crops.count; ++crop)
            histograms.blocks(crops.left(crop), count, p.sums + (first + crop) * numbers);
    });
}

}  // namespace
