"""Options of a pre-training run that do not decide the weights; importing them loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainingOptions:
    """How a run is carried out: nothing here decides the weights, but for their last bits (device, threads).

    Parameters
    ----------
    shards
        Files, folders or patterns.
    out
        The run's folder.
    device
        ``"auto"`` takes CUDA, then MPS, then the CPU.
    workers
        Processes that read clips; 0 reads in the training process.
    threads
        CPU threads of torch; None for torch's own choice.
    max_steps
        Stop after so many steps, counted from the run's beginning; None for the recipe's epochs.
    checkpoint_steps, log_steps
        Steps between two checkpoints, and between two rows of `metrics.csv`.
    resume
        Go on from the newest checkpoint in `out`.
    val_shards
        More shards to measure on, beside the recipe's held-out videos.
    val_steps
        Steps between two measurements on held-out clips.
    val_clips
        Held-out clips that are measured at most, spread evenly over all.
    tensorboard
        Write TensorBoard events as well.
    accumulate
        Parts that a batch is taken in, for devices with little memory.
    memory_format
        A key of `mas_train.runtime.performance.MEMORY_FORMATS`, or ``"auto"`` for the faster one of a short
        measurement; None leaves the choice to `mas_train.runtime.performance.choose_memory_format`.
    compile
        Whether to have torch compile the network.
    fused
        Whether to take steps in one pass over the weights.
    curves
        Draw the learning curves at the end.
    incomplete
        Go on with shards whose folders lack others of their plan.
    """

    shards: Sequence[str | Path]
    out: Path
    device: str = "auto"
    workers: int = 2
    threads: int | None = None
    max_steps: int | None = None
    checkpoint_steps: int = 250
    log_steps: int = 10
    resume: bool = False
    val_shards: Sequence[str | Path] = ()
    val_steps: int = 500
    val_clips: int = 1024
    tensorboard: bool = False
    accumulate: int = 1
    memory_format: str | None = None
    compile: bool = False
    fused: bool = False
    curves: bool = True
    incomplete: bool = False
