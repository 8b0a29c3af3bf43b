"""One pre-training run, from shards to checkpoints: checks first, then work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mas_labels.errors import ConfigError, TrainingError
from mas_labels.shard import ShardSet, open_shards
from mas_train.c3d import C3D
from mas_train.checkpoint import TrainingState, restore
from mas_train.dataset import ClipDataset, RunOrder, label_blocks
from mas_train.engine import Job, train
from mas_train.heads import PretextModel
from mas_train.loss import Losses, mean_label_losses
from mas_train.metrics import MetricsLog
from mas_train.presets import Recipe
from mas_train.run_folder import begin_run, find_checkpoint, note_environment
from mas_train.stopping import StopRequest


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


def make_state(recipe: Recipe, device: torch.device) -> TrainingState:
    """Seed torch, and build the first weights and their optimiser."""
    torch.manual_seed(recipe.seed)
    backbone = C3D(recipe.width)
    model = PretextModel(backbone, recipe.fc_width, recipe.dropout).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum)
    return TrainingState(model, optimizer)


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
    checkpoint = find_checkpoint(options.out, options.resume)
    dataset = ClipDataset(open_shards(list(options.shards)))
    RunOrder(len(dataset), recipe.batch_size, recipe.seed, recipe.epochs)  # refuses before any work
    state = make_state(recipe, device)
    baseline = mean_label_losses(label_blocks(dataset.shards), recipe.motion_weight, recipe.appearance_weight)
    if checkpoint is None:
        begin_run(options.out, recipe, dataset.shards, state, device)
    else:
        restore(checkpoint, state, recipe, dataset.shards.content_hashes, device)
        say(f"resuming after step {state.step}")
        note_environment(options.out, state.step, device, say)
    order = RunOrder(
        len(dataset), recipe.batch_size, recipe.seed, recipe.epochs, state.step, options.max_steps
    )
    say(_describe(state, dataset.shards, order, device, baseline))
    job = Job(recipe, dataset, order, device, options.workers, options.out, options.checkpoint_steps)
    return _run(job, state, baseline, options.log_steps)


def _run(job: Job, state: TrainingState, baseline: Losses, log_steps: int) -> RunResult:
    """Train with the log open and the signals caught."""
    with StopRequest() as stop:
        try:
            with MetricsLog(job.run, baseline, state.step, job.order.end_step, log_steps) as log:
                train(job, state, log, stop.requested)
        except OSError as error:
            raise TrainingError(
                f"the run in {job.run} stopped after step {state.step}: {error}; mend that, then use --resume"
            ) from error
    stopped_early = state.step < job.order.end_step
    return RunResult(state.step, job.order.end_step, stop.signal_number if stopped_early else None)


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
