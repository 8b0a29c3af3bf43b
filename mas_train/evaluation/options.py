"""Options of the protocols; importing them does not load torch, so the command line can show them at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from mas_labels.system.options import bounds, check_options

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

    few: float = field(default=0.1, metadata=bounds(above=0, at_most=1, is_share=True))
    draws: int = field(default=10, metadata=bounds(at_least=1))
    c: float = field(default=10.0, metadata=bounds(above=0))

    def __post_init__(self) -> None:
        check_options(self)
