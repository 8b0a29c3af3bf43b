"""Cost of a plan: hours and bytes of a full one, minutes of the small one.

Of the full one, measured (docs/datasets/README.md): clips per video, clips labelled per second, bytes per
clip; ASLAN and YUPENN were not available. Counted: the multiplications of the paper's network. Assumed,
because no GPU was available: the floating-point operations that a GPU sustains per second.
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
"""Number of clips of each set of shards; that of the last two is a guess from 150 frames per video."""
LABELLED_PER_SECOND: Final = 5.5
FRAMES_ONLY_PER_SECOND: Final = 72.0
"""Clips per second and core, with labels and with ``--frames-only``."""
LABELLED_BYTES: Final = 143_000
FRAMES_ONLY_BYTES: Final = 141_000
BOUNDARY_BYTES: Final = 158_000
"""Bytes per clip, with labels and with ``--frames-only``, and of Mu and Mv."""
FORWARD_FLOP: Final = 38.4e9
"""Operations of the paper's C3D for one clip: two per multiplication, 19.2e9 of them in its convolutions."""
EPOCHS: Final = 20


def estimate_cost(steps: Sequence[Step], cores: int, gpu_tflops: float) -> list[str]:
    """Return two lines of text: the hours and bytes of labelling, and the hours of the networks.

    Parameters
    ----------
    steps
        A plan of `mas_train.reproduce.full`.
    cores
        Number of CPU cores that label.
    gpu_tflops
        Floating-point operations that the GPU sustains, in 1e12 per second.
    """
    core_hours = gigabytes = gpu_hours = 0.0
    for step in steps:
        command = step.command
        clips = sum(map(_clips_in, command))
        if command[0] == "mas-labels":
            frames_only = "--frames-only" in command
            core_hours += clips / (FRAMES_ONLY_PER_SECOND if frames_only else LABELLED_PER_SECOND) / 3600
            stored = FRAMES_ONLY_BYTES if frames_only else LABELLED_BYTES
            if not frames_only and "--no-store-boundaries" not in command:
                stored += BOUNDARY_BYTES
            gigabytes += clips * stored / 1e9
        elif command[0] == "mas-eval":
            gpu_hours += clips * FORWARD_FLOP / (gpu_tflops * 1e12) / 3600
        else:
            train_clips = _clips_in(command[command.index("--shards") + 1])
            passes = 3 * EPOCHS * train_clips + (clips - train_clips)  # backward costs two forward passes
            gpu_hours += passes * FORWARD_FLOP / (gpu_tflops * 1e12) / 3600
    return [
        f"labels: {core_hours:.0f} hours of one core, {core_hours / cores:.1f} on {cores}; "
        f"{gigabytes:.0f} GB",
        f"networks: {gpu_hours:.0f} hours if the GPU sustains {gpu_tflops:g} TFLOP/s (assumed, not "
        "measured) and reading keeps up",
    ]


def _clips_in(word: str) -> int:
    """Return the number of clips of the set of shards that a command's word names; 0 if it names none."""
    return CLIPS.get(word.removeprefix("labels/"), 0)


SMALL_CLIPS: Final[Mapping[str, int]] = {
    "labels/test1": 680,
    "labels/test2": 775,
    "labels/test3": 761,
    "labels/rest": 427,
    "labels/others": 626,
    "labels/weizmann": 324,
}
"""Number of clips of each set of shards of the small experiment."""
TRAIN_SECONDS, DENSE_SECONDS, MEASURE_SECONDS = 0.0150, 0.0055, 6.5
"""Seconds of one core for a clip in a training step, for what dense targets add to it, to measure features
that are cached. Measured with the small experiment's network on a Xeon with AVX-512, as is the next one."""
FORWARD_SECONDS: Final = 0.0085
"""Seconds of one core for a clip's features."""
START_SECONDS, LABEL_SECONDS, FRAMES_SECONDS = 4.5, 0.25, 0.03
"""Seconds of one core to start a training, for a clip's labels, and for its frames alone: assumed."""


def estimate_small(steps: Sequence[Step], jobs: int) -> str:
    """Return a line of text: the minutes of the small experiment or its pilots, and of what they consist.

    Parameters
    ----------
    steps
        A plan of `mas_train.reproduce.small` or `mas_train.reproduce.pilots`.
    jobs
        Number of steps that run at the same time, each on a core of its own.
    """
    seconds: dict[str, float] = {}
    for step in steps:
        kind = step.command[0] if step.command[0] != "mas-eval" else f"mas-eval {step.command[1]}"
        seconds[kind] = seconds.get(kind, 0.0) + _small_seconds(step)
    parts = ", ".join(f"{kind} {value / 60:.0f}" for kind, value in seconds.items())
    total = sum(seconds.values()) / 60
    return f"about {total / jobs:.0f} minutes, {jobs} steps at a time; minutes of one core: {parts}"


def _small_seconds(step: Step) -> float:
    """Return the seconds that a step of the small experiment takes on one core."""
    words, clips = step.command, SMALL_CLIPS

    def value(option: str, default: float) -> float:
        return float(words[words.index(option) + 1].rstrip("%")) if option in words else default

    read = sum(clips.get(word, 0) for word in words)
    if words[0] == "mas-labels":
        is_frames = "--frames-only" in words
        return START_SECONDS + clips[words[words.index("--out") + 1]] * (
            FRAMES_SECONDS if is_frames else LABEL_SECONDS
        )
    if words[0] == "mas-eval":
        is_first = words[1] == "retrieval" or "labels/weizmann" in words
        return MEASURE_SECONDS + (read * FORWARD_SECONDS if is_first and "scratch" not in words else 0)
    tested = next(
        (clips[words[i + 1]] for i, w in enumerate(words) if w in ("--val-shards", "--test-shards")), 0
    )
    batch = value("--batch-size", 30)
    per_epoch = (read - tested) * value("--labels", 100) / 100
    steps = value("--epochs", EPOCHS) * per_epoch / batch
    is_dense = bool({"dense", "magnitudes"} & set(words))
    return (
        START_SECONDS + steps * batch * (TRAIN_SECONDS + is_dense * DENSE_SECONDS) + tested * FORWARD_SECONDS
    )
