"""What a full plan will cost: an estimate, from rates that were measured and one that is assumed.

Measured (docs/datasets/README.md): clips a video, clips labelled a second, bytes a clip; nothing of ASLAN
and YUPENN was at hand. Counted: the multiplications of the paper's network. Assumed, because no GPU was at
hand: how many of them a GPU does a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from mas_train.reproduce.plan import Step

CLIPS: Final[Mapping[str, int]] = {
    "ucf101-train1": 106_000,
    "ucf101-test1": 42_000,
    "hmdb51-train1": 27_000,
    "hmdb51-test1": 11_000,
    "kinetics400-train": 4_500_000,
    "aslan": 70_000,
    "yupenn": 7_000,
}
"""Clips of each set of shards; of the last two a guess: 150 frames a video."""
LABELLED_PER_SECOND: Final = 4.1
BARE_PER_SECOND: Final = 28.0
"""Clips a second and core, with labels and with ``--frames-only``."""
LABELLED_BYTES: Final = 118_000
BARE_BYTES: Final = 131_000
FORWARD_FLOP: Final = 38.4e9
"""Of the paper's C3D for one clip: two a multiplication, 19.2e9 of them in its convolutions."""
EPOCHS: Final = 20


def estimate(steps: Sequence[Step], cores: int, gpu_tflops: float) -> list[str]:
    """Say in lines what a plan costs in hours and bytes.

    Parameters
    ----------
    steps
        A plan of `mas_train.reproduce.full`.
    cores
        CPU cores that label.
    gpu_tflops
        Floating-point operations that the GPU sustains, in 1e12 a second.
    """
    core_hours = gigabytes = gpu_hours = 0.0
    for step in steps:
        words = step.command
        clips = sum(CLIPS.get(word.removeprefix("labels/"), 0) for word in words)
        if words[0] == "mas-labels":
            bare = "--frames-only" in words
            core_hours += clips / (BARE_PER_SECOND if bare else LABELLED_PER_SECOND) / 3600
            gigabytes += clips * (BARE_BYTES if bare else LABELLED_BYTES) / 1e9
        elif words[0] == "mas-eval":
            gpu_hours += clips * FORWARD_FLOP / (gpu_tflops * 1e12) / 3600
        else:
            trained = CLIPS.get(words[words.index("--shards") + 1].removeprefix("labels/"), 0)
            passes = 3 * EPOCHS * trained + (clips - trained)  # backward costs two forward passes
            gpu_hours += passes * FORWARD_FLOP / (gpu_tflops * 1e12) / 3600
    per_machine = core_hours / cores
    return [
        f"labels: {core_hours:.0f} hours of one core, {per_machine:.1f} on {cores}; {gigabytes:.0f} GB",
        f"networks: {gpu_hours:.0f} hours if the GPU sustains {gpu_tflops:g} TFLOP/s (assumed, not "
        "measured) and reading keeps up",
    ]
