// The passes over pixels that compute the block sums; see mas_labels/labels/block_sums.py. They use integers, except
// for derivatives and magnitudes, whose operations are each rounded: all builds give the same result.
#include "labels.h"

#include "colours.h"
#include "frequent_colours.h"
#include "motion_fields.h"
#include "votes.h"

extern const LabelsKernel MAS_KERNEL;
const LabelsKernel MAS_KERNEL = {MAS_ISA_NAME, field_sums, vote_sums, colour_sums, frequent_colours};
