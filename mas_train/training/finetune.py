"""Fine-tuning for action recognition (paper, section 4.1): kept convolutions, new fully connected layers.

Notes
-----
- The paper's learning rate is 0.001, with the schedule of pre-training: divided by 10 every 5 epochs, 20
  epochs.
- The paper does not state the dropout of the fully connected layers; that of the presets is C3D's 0.5.
- The preset ``strong`` (`mas_train.training.options.FINETUNE_PRESETS`) is not the paper's.
- All random draws of an epoch (order, crops, colours, dropout) follow from the seed and the epoch's number,
  so that a resumed run ends in the same weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from mas_labels.errors import ConfigError, DatasetError, reason_of
from mas_labels.schema import RUN_CONFIG_FILE
from mas_labels.system.files import missing_services
from mas_train.data.clips import FrameDataset, RunOrder
from mas_train.data.few_labels import label_clips
from mas_train.data.loader import load_batches
from mas_train.model.classifier import Classifier
from mas_train.runtime.performance import oom_as_training_error, require_precision
from mas_train.runtime.signals import SignalRequests
from mas_train.training.finetune_state import (
    FINETUNE_METRICS_FILE,
    FinetuneJob,
    finetuning_entries,
    log_epoch,
    make_finetune_state,
    restore_finetuning,
    save_finetuning,
)
from mas_train.training.finetune_steps import FinetuneStep, train_epoch
from mas_train.training.options import FINETUNE_PRESETS, PRETRAINING_FIELDS, require_preset
from mas_train.training.run_folder import note_resumption, write_config
from mas_train.weights.backbone_weights import FINETUNED_FILE, Weights, weights_digest


@oom_as_training_error()
def finetune(
    job: FinetuneJob, weights: Weights, resume: bool = False, say: Callable[[str], None] = print
) -> tuple[Classifier, int | None]:
    """Fine-tune a network, or resume a run.

    Parameters
    ----------
    job
        Inputs. `job.out` gets `finetuned.pt` after each epoch, and `metrics.csv`.
    weights
        The backbone to start from.
    resume
        Resume from `finetuned.pt` in `job.out`.
    say
        Called with lines for the user.

    Returns
    -------
    model : Classifier
    signal_number : int or None
        The signal that stopped the run early, if there was one.

    Raises
    ------
    ConfigError
        If `job.out` cannot be written, or holds a run and `resume` is false, or holds none and it is true.
    DatasetError, ShardError
        If the shards have no clips or classes, or are damaged.
    CheckpointError
        If the run cannot be resumed with these options and shards.
    TrainingError
        If the loss is not finite, or the device has too little memory.
    """
    path = job.out / FINETUNED_FILE
    _check_inputs(job, resume)
    require_precision(job.recipe.precision, job.device, job.memory_format)
    labelled = label_clips(job.shards, job.options.label_fraction, job.recipe.seed)
    order = RunOrder([len(labelled.clips)], job.recipe)
    initial_weights = weights_digest(weights.backbone)
    state = make_finetune_state(weights, job)
    if resume:
        restore_finetuning(path, state, job)
    _record(job, initial_weights, state.epoch, say)
    if not resume:
        save_finetuning(path, state, job)  # fails before any work if the folder cannot be written
    if missing := missing_services(job.out, is_labelling=False):
        say(missing)
    say(
        f"{len(labelled.clips)} clips of {labelled.videos} videos in {len(job.classes)} classes, "
        f"{order.steps_per_epoch} steps per epoch, from {job.options.init}, on {job.device}"
    )
    order = RunOrder([len(labelled.clips)], job.recipe, state.epoch * order.steps_per_epoch)
    step = FinetuneStep(job, state, labelled, say)
    with SignalRequests() as signals:
        chosen = _ChosenOrder(order, labelled.clips)
        batches = load_batches(FrameDataset(job.shards), chosen, job.workers, job.device, say)
        for epoch in range(state.epoch, job.recipe.epochs):
            row = train_epoch(step, itertools.islice(batches, order.steps_per_epoch), epoch, signals.take)
            if row is None:
                return state.model, signals.signal_number
            state.epoch = epoch + 1
            log_epoch(job.out / FINETUNE_METRICS_FILE, row)  # first: a run killed in between writes it again
            save_finetuning(path, state, job)
            say(f"epoch {state.epoch}: loss {row['loss']:.4f}, clip accuracy {row['clip_accuracy']:.1%}")
    return state.model, None


def _record(job: FinetuneJob, initial_weights: str, epoch: int, say: Callable[[str], None]) -> None:
    """Write config.yaml, or bring that of a run that resumes up to date; earlier runs have none.

    Raises
    ------
    ConfigError
        If it cannot be written, or is not the configuration of a run.
    """
    entries, start = finetuning_entries(job), {"from_epoch": epoch}
    try:
        if epoch and (job.out / RUN_CONFIG_FILE).exists():
            note_resumption(job.out, entries, start, job.device, say)
            return
        facts = {"geometry": asdict(job.shards.geometry), "initial_weights": initial_weights}
        write_config(job.out, {**entries, **facts}, start, job.device)
    except OSError as error:
        raise ConfigError(f"cannot write to {job.out} ({reason_of(error)}): give another --out") from error


def _check_inputs(job: FinetuneJob, resume: bool) -> None:
    """Raise an error if the folder holds a run and is not resumed, or the reverse; or without clips."""
    if (job.out / FINETUNED_FILE).exists() != resume:
        raise ConfigError(
            f"nothing to resume in {job.out}: leave --resume out"
            if resume
            else f"{job.out} already holds a run: add --resume to continue it, or give another --out"
        )
    if job.recipe.epochs == 0:
        raise ConfigError("expected one epoch or more of fine-tuning, found 0: give --epochs")
    if not resume:  # earlier versions took them in silence
        require_preset(job.recipe, PRETRAINING_FIELDS, FINETUNE_PRESETS, "fine-tuning")
    if len(job.shards) == 0:
        raise DatasetError(
            f"no clips in the {len(job.shards.paths)} shards: see the output of `mas-labels make`"
        )


class _ChosenOrder(Sampler[list[int]]):
    """The batches of an order over chosen clips, as the clips' numbers in the set of shards."""

    def __init__(self, order: RunOrder, clips: NDArray[np.int64]) -> None:
        self._order, self._clips = order, clips

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[list[int]]:
        return (self._clips[batch].tolist() for batch in self._order)
