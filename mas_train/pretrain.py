"""One pre-training run, from shards to checkpoints: checks first, then work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mas_labels.errors import ConfigError, MissingDependencyError, TrainingError
from mas_labels.shard import ShardSet, open_shards
from mas_train.checkpoint import TrainingState, restore
from mas_train.curves import draw_curves
from mas_train.dataset import ClipDataset, RunOrder, label_blocks
from mas_train.engine import Job, train
from mas_train.events import Events, require_tensorboard
from mas_train.heldout import HeldOut, choose_clips, require_comparable
from mas_train.loss import Losses, mean_label_losses
from mas_train.metrics import MetricsLog
from mas_train.model import make_model, make_optimizer
from mas_train.presets import Recipe
from mas_train.run_folder import begin_run, find_checkpoint, note_environment
from mas_train.stopping import StopRequest
from mas_train.subset import hold_out
from mas_train.target_code import TargetCode, count_labels


@dataclass(frozen=True)
class RunOptions:
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
    curves
        Draw the learning curves at the end.
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
    curves: bool = True


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    steps: int
    end_step: int
    signal_number: int | None
    """The signal that stopped it early, if one did."""


def choose_device(name: str) -> torch.device:
    """Turn ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"`` into a device that is there.

    Raises
    ------
    ConfigError
        If the device asked for is absent.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in present.items() if there)
    if name not in present:
        raise ConfigError(f"no device {name!r}: take one of auto, {', '.join(present)}")
    if not present[name]:
        found = ", ".join(kind for kind, there in present.items() if there)
        raise ConfigError(
            f"--device {name} asked for, but torch {torch.__version__} finds none here (it finds {found}): "
            "install a build of torch for it (pytorch.org), or give --device auto"
        )
    return torch.device(name)


def make_state(recipe: Recipe, device: torch.device, code: TargetCode) -> TrainingState:
    """Seed torch, and build the first weights and their optimiser."""
    torch.manual_seed(recipe.seed)
    model = make_model(recipe, code).to(device)
    return TrainingState(model, make_optimizer(model, recipe), code.to(device))


def pretrain(recipe: Recipe, options: RunOptions, say: Callable[[str], None] = print) -> RunResult:
    """Pre-train a network on shards, or go on with a run that was stopped.

    Parameters
    ----------
    recipe
        What decides the weights.
    options
        How the run is carried out.
    say
        Is given lines for the user.

    Raises
    ------
    ConfigError
        If an option is wrong, or `options.out` already holds a run and `options.resume` is not set.
    DatasetError, ShardError
        If the shards are not there, hold no labels, or are damaged.
    CheckpointError
        If the run cannot be resumed with this recipe and these shards.
    TrainingError
        If training cannot go on.
    """
    device = choose_device(options.device)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.tensorboard:
        require_tensorboard()
    checkpoint = find_checkpoint(options.out, options.resume)
    training, held_out = split_data(recipe, options)
    dataset = ClipDataset(training)
    RunOrder(len(dataset), recipe.batch_size, recipe.seed, recipe.epochs)  # refuses before any work
    counts = count_labels(label_blocks(training))
    code = TargetCode(recipe, counts)
    baseline = mean_label_losses(code, counts, recipe.motion_weight, recipe.appearance_weight)
    clips = choose_clips(held_out, options.val_clips) if held_out else []
    heldout = HeldOut(clips, recipe, code, counts, options.val_steps) if clips else None
    state = make_state(recipe, device, code)
    if checkpoint is None:
        begin_run(options.out, recipe, training, state, device, len(clips))
    else:
        restore(checkpoint, state, recipe, training.content_hashes, device)
        say(f"resuming after step {state.step}")
        note_environment(options.out, state.step, device, say)
    order = RunOrder(
        len(dataset), recipe.batch_size, recipe.seed, recipe.epochs, state.step, options.max_steps
    )
    say(_describe(state, training, order, device, baseline))
    if clips:
        say(f"{len(clips)} held-out clips, measured every {options.val_steps} steps")
    job = Job(recipe, dataset, order, device, options.workers, options.out, options.checkpoint_steps, heldout)
    result = _run(job, state, baseline, options)
    if options.curves:
        _draw(options.out, say)
    return result


def split_data(recipe: Recipe, options: RunOptions) -> tuple[ShardSet, list[ShardSet]]:
    """Open the shards: what to train on, and what to measure on, which may be nothing.

    Raises
    ------
    ConfigError, DatasetError, ShardError
        If they are not there, do not go together, or leave nothing to train on.
    """
    training = open_shards(list(options.shards))
    held_out: list[ShardSet] = []
    if options.val_shards:
        held_out.append(open_shards(list(options.val_shards)))
        require_comparable(held_out[0], training)
    if recipe.holdout:
        training, part = hold_out(training, recipe.holdout, recipe.seed)
        held_out.append(part)
    return training, held_out


def _run(job: Job, state: TrainingState, baseline: Losses, options: RunOptions) -> RunResult:
    """Train with the tables open and the signals caught."""
    with StopRequest() as stop, contextlib.ExitStack() as stack:
        try:
            events = Events(job.run, state.step) if options.tensorboard else None
            if events is not None:
                stack.callback(events.close)
            if job.heldout is not None:
                job.heldout.begin(job.run, state.step, events)
            log = MetricsLog(job.run, baseline, state.step, job.order.end_step, options.log_steps, events)
            with log:
                train(job, state, log, stop.requested)
        except OSError as error:
            raise TrainingError(
                f"the run in {job.run} stopped after step {state.step}: {error}; mend that, then use --resume"
            ) from error
    stopped_early = state.step < job.order.end_step
    return RunResult(state.step, job.order.end_step, stop.signal_number if stopped_early else None)


def _draw(run: Path, say: Callable[[str], None]) -> None:
    """Draw the learning curves, or say in a line why not."""
    try:
        draw_curves(run)
    except (MissingDependencyError, OSError) as error:
        say(f"no learning curves drawn: {error}")


def _describe(
    state: TrainingState, shards: ShardSet, order: RunOrder, device: torch.device, baseline: Losses
) -> str:
    """Say in two lines what is trained on what."""
    weights = sum(weight.numel() for weight in state.model.parameters())
    motion, appearance, total = (loss.item() for loss in baseline)
    return (
        f"{weights / 1e6:.1f} million weights, {len(shards)} clips in {len(shards.paths)} shards, "
        f"{len(shards.views)} views a clip, {order.steps_per_epoch} steps an epoch, on {device}\n"
        f"predicting the mean label: loss {total:.3f} (motion {motion:.3f}, appearance {appearance:.3f})"
    )
