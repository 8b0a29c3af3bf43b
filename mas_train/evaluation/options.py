"""Options of the protocols; importing them does not load torch, so the command line can show them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

FeatureKind = Literal["pooled", "mean", "pixels"]
"""``pooled``: the last convolution after the last pooling, flattened, 4096 numbers for C3D: the input of the
fully connected layers. ``mean``: the mean over its time steps, rows and columns, 256 numbers. ``pixels``: a
control without a network, the colours of 4 x 4 blocks averaged over time, 48 numbers."""
FEATURE_KINDS: Final[tuple[str, ...]] = get_args(FeatureKind)

SVM_C: Final = 1.0
"""Weight of errors against the margin in the SVM of ASLAN and YUPENN."""


@dataclass(frozen=True)
class ProbeOptions:
    """Options of the linear probe.

    Attributes
    ----------
    few
        Share of each class's training videos for the second figure.
    draws
        Number of random draws of this share, whose accuracies are averaged.
    c
        Weight of errors against the penalty, for standardised features.
    """

    few: float = 0.1
    draws: int = 10
    c: float = 10.0
