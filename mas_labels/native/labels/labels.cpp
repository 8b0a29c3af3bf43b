// The passes over pixels behind the labels; see mas_labels/labels/block_sums_native.py. Integers but for derivatives and magnitudes,
// whose every operation is rounded on its own: all builds give the same result.
#include "labels.h"

#include "colours.h"
#include "frequent_colours.h"
#include "motion_fields.h"
#include "votes.h"

extern const LabelsKernel MAS_KERNEL;
const LabelsKernel MAS_KERNEL = {MAS_ISA_NAME, field_sums, vote_sums, colour_sums, frequent_colours};
