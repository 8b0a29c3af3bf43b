"""A pre-training run, from shards to checkpoints: everything is checked before the work starts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from mas_labels.errors import ConfigError, MissingDependencyError, TrainingError, reason_of
from mas_labels.shards import ShardSet
from mas_labels.system.extras import load_extra
from mas_labels.system.files import missing_services
from mas_train.codings import DENSE_CODINGS
from mas_train.data.clips import ClipDataset, RunOrder, shuffled_clips
from mas_train.data.holdout import hold_out
from mas_train.data.leakage import find_shard_leaks
from mas_train.data.probe_clips import open_probe
from mas_train.data.training_shards import (
    choose_clips,
    incomplete_warnings,
    open_training_shards,
    require_coded,
)
from mas_train.data.views import describe_views
from mas_train.model.heads import make_model
from mas_train.model.loss import Losses, mean_label_losses
from mas_train.model.targets import TargetCode
from mas_train.recipe import PRESETS, Recipe
from mas_train.runtime.generators import generator_states
from mas_train.runtime.performance import (
    choose_memory_format,
    keep_pages,
    make_scaler,
    oom_as_training_error,
    require_precision,
    set_memory_format,
)
from mas_train.runtime.processes import Group, choose_device, join_group, local_device
from mas_train.runtime.signals import SignalRequests
from mas_train.training.curves import draw_curves
from mas_train.training.engine import PretrainJob, make_optimizer, say_nothing, train
from mas_train.training.heldout import HeldOutMonitor, choose_heldout_clips, require_comparable
from mas_train.training.measuring import Measuring
from mas_train.training.metrics import MetricsLog, TensorBoardEvents
from mas_train.training.online_probe import OnlineProbe
from mas_train.training.options import FINETUNING_FIELDS, TrainingOptions, require_preset
from mas_train.training.run_folder import begin_run, find_checkpoint, note_resumption, pretraining_entries
from mas_train.training.target_statistics import training_statistics
from mas_train.training.untrained import learn_statistics
from mas_train.weights.checkpoint import CHECKPOINT_FOLDER, TrainingState, restore_training


def make_training_state(
    recipe: Recipe, device: torch.device, code: TargetCode, fused: bool = False
) -> TrainingState:
    """Seed torch, and build the model with random weights and its optimiser."""
    torch.manual_seed(recipe.seed)
    model = make_model(recipe, code).to(device)
    optimizer = make_optimizer(model, recipe, fused)
    return TrainingState(model, optimizer, code, scaler=make_scaler(recipe.precision, device))


@dataclass(frozen=True)
class RunResult:
    """The end of a run: steps done, steps planned, and the signal that stopped it."""

    steps: int
    end_step: int
    signal_number: int | None
    """The signal that stopped the run early, if there was one."""


def pretrain(recipe: Recipe, options: TrainingOptions, say: Callable[[str], None] = print) -> RunResult:
    """Pre-train a network on shards, or resume a run.

    Parameters
    ----------
    recipe
        Everything that decides the weights.
    options
        Everything else about the run.
    say
        Called with lines for the user; with several processes, in the first one only.

    Raises
    ------
    ConfigError
        If an option is wrong, or `options.out` already holds a run and `options.resume` is not set.
    DatasetError, ShardError
        If there are no shards, or they have no labels or are damaged.
    CheckpointError
        If the run cannot be resumed with this recipe and these shards.
    TrainingError
        If training cannot continue.
    """
    with join_group() as group, oom_as_training_error():
        say = say if group.is_first else say_nothing
        with group.share_errors():
            run = prepare(recipe, options, group)
        say(run.description)
        _begin_or_resume(run, group, say)
        network, memory_format = _speed_up(run, group, say)
        training = run.dataset.shards
        order = RunOrder(training.lengths, recipe, run.state.step, options.max_steps, group.rank, group.size)
        job = PretrainJob(
            *(recipe, run.dataset, order, network, run.device, options.workers, options.out),
            *(options.checkpoint_steps, options.log_steps, run.measuring, group, options.accumulate),
            memory_format,
        )
        result = _train(job, run, options)
        if group.is_first and options.curves and result.end_step:
            _draw_run_curves(options.out, say)
        say(f"{result.steps} of {result.end_step} steps done; run in {options.out}")
    return result


@dataclass(frozen=True)
class PreparedRun:
    """A run before its first write: shards opened, model built, options checked."""

    recipe: Recipe
    options: TrainingOptions
    device: torch.device
    checkpoint: Path | None
    dataset: ClipDataset
    state: TrainingState
    baseline: Losses
    measuring: Measuring
    description: str


def prepare(recipe: Recipe, options: TrainingOptions, group: Group) -> PreparedRun:
    """Open and check everything before the work starts; raises the errors of `pretrain`."""
    require_preset(recipe, FINETUNING_FIELDS, PRESETS, "pre-training")
    device = local_device(choose_device(options.device))
    require_precision(recipe.precision, device, options.memory_format)
    if device.type == "cpu":
        keep_pages()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.tensorboard:
        load_extra("tensorboard", "--tensorboard needs", "tensorboard")
    checkpoint = find_checkpoint(options.out, options.resume)
    training, held_out, lines = open_run_data(recipe, options)
    sources = shuffled_clips(len(training), recipe.seed).tolist() if recipe.shuffle_labels else None
    for shards in (training, *held_out):
        require_coded(shards, recipe.coding)
    dataset = ClipDataset(training, sources, recipe.coding in DENSE_CODINGS)
    order = RunOrder(training.lengths, recipe, ranks=group.size)  # checks the batch size before any work
    code = TargetCode(recipe, geometry=training.geometry)
    state = make_training_state(recipe, device, code, options.fused)  # checks the backbone
    statistics = training_statistics(code, dataset, recipe)
    code.standardise(statistics)
    baseline = mean_label_losses(code, statistics, recipe.motion_weight, recipe.appearance_weight)
    clips = choose_heldout_clips(held_out, options.val_clips) if held_out else []
    heldout = HeldOutMonitor(clips, recipe, code, statistics, options.val_steps) if clips else None
    probe = None
    if options.probe_shards:
        videos, more = open_probe(options.probe_shards, training, options.probe_clips, options.incomplete)
        lines += more
        probe = OnlineProbe(videos, recipe, order.steps_per_epoch)
    measuring = Measuring(heldout, probe, options.best_by)
    code.to(device)
    if group.rank:
        torch.manual_seed(recipe.seed + group.rank)  # own dropout in each process
    if checkpoint is not None:
        restore_training(checkpoint, state, recipe, training.content_hashes, device, group.rank)
    elif recipe.epochs == 0:
        learn_statistics(state.model.backbone, recipe, training, device, options.workers)
    lines = [*incomplete_warnings([training, *held_out]), *lines]
    lines += [] if code.pace is None else [str(code.pace)]
    description = "\n".join([*lines, _describe_run(state, training, order, device, baseline)])
    return PreparedRun(recipe, options, device, checkpoint, dataset, state, baseline, measuring, description)


def _begin_or_resume(run: PreparedRun, group: Group, say: Callable[[str], None]) -> None:
    """Write a new run's folder, or note the environment in which a run resumes."""
    generators = group.gather(generator_states(run.device))
    out, heldout = run.options.out, run.measuring.heldout
    clips = heldout.clips if heldout else []
    deciding = run.options, run.recipe, run.dataset.shards
    with group.share_errors():
        if not group.is_first:
            return
        if run.checkpoint is None:
            begin_run(*deciding, run.state, run.device, generators, len(clips))
        else:
            say(f"resuming after step {run.state.step}")
            start = {"from_step": run.state.step}
            note_resumption(out, pretraining_entries(*deciding), start, run.device, say)
    if missing := missing_services(out / CHECKPOINT_FOLDER, is_labelling=False):
        say(missing)
    if clips:
        when = f"every {run.options.val_steps} steps" if run.recipe.epochs else "never, as no step is taken"
        say(f"{len(clips)} held-out clips, measured {when}")


def _speed_up(run: PreparedRun, group: Group, say: Callable[[str], None]) -> tuple[nn.Module, str]:
    """Choose a memory format, the same in all processes; return the network to train, and the format."""
    clips = -(-run.recipe.batch_size // (group.size * run.options.accumulate))
    chosen, measured = group.gather(
        choose_memory_format(
            *(run.options.memory_format, run.state.model, run.recipe.precision, run.device, clips),
            run.state.code.input_geometry,
        )
    )[0]
    if measured:
        say(measured)
    if group.is_joined:
        processes = "1 process" if group.size == 1 else f"{group.size} processes"
        say(f"{processes}, {run.recipe.batch_size} clips per step in all")
    set_memory_format(run.state.model, chosen, run.state.optimizer)
    network = group.wrap(run.state.model)
    if run.options.compile:
        network.compile()
    return network, chosen


def open_run_data(recipe: Recipe, options: TrainingOptions) -> tuple[ShardSet, list[ShardSet], list[str]]:
    """Open the training shards, and the held-out ones, of which there may be none; choose their clips.

    The last of the three is one line for each set that clips were chosen from.

    Raises
    ------
    ConfigError, DatasetError, ShardError
        If shards are missing or incompatible, or none are left to train on.
    """
    training = open_training_shards(options.shards, options.incomplete)
    training, lines = choose_clips(training, recipe.where)
    held_out: list[ShardSet] = []
    if options.val_shards:
        others = open_training_shards(options.val_shards, options.incomplete)
        require_comparable(others, training)
        others, more = choose_clips(others, recipe.where)
        held_out.append(others)
        lines += [f"--val-shards: {line}" for line in more]
        leaks = find_shard_leaks(training, others, "held-out")
        lines += [f"warning: {leak}: they are measured on, and were trained on" for leak in leaks]
    if recipe.holdout:
        training, part = hold_out(training, recipe.holdout, recipe.seed)
        held_out.append(part)
    return training, held_out, lines


def _train(job: PretrainJob, run: PreparedRun, options: TrainingOptions) -> RunResult:
    """Train with the log open and signals recorded; one process writes."""
    state, start = run.state, run.state.step
    try:
        with SignalRequests(job.group.is_first) as signals, contextlib.ExitStack() as stack:
            log = None
            if job.group.is_first:
                events = TensorBoardEvents(job.run, start) if options.tensorboard else None
                if events is not None:
                    stack.callback(events.close)
                ends, has_probe = (start, job.order.end_step), bool(options.probe_shards)
                log = MetricsLog(job.run, run.baseline, *ends, options.log_steps, events, has_probe)
                stack.enter_context(log)
                job.measuring.begin(job.run, start, events)
            train(job, state, log, signals.take)
    except OSError as error:
        raise TrainingError(
            f"the run in {job.run} stopped after step {state.step}: {reason_of(error)}; fix that, then use "
            "--resume"
        ) from error
    stopped_early = state.step < job.order.end_step
    return RunResult(state.step, job.order.end_step, signals.signal_number if stopped_early else None)


def _draw_run_curves(run: Path, say: Callable[[str], None]) -> None:
    """Draw the learning curves, or report in one line why they cannot be drawn."""
    try:
        draw_curves(run)
    except (MissingDependencyError, ConfigError) as error:
        say(f"no learning curves drawn: {error}")


def _describe_run(
    state: TrainingState, shards: ShardSet, order: RunOrder, device: torch.device, baseline: Losses
) -> str:
    """Describe the model, the data and the baseline in two lines."""
    weights = sum(weight.numel() for weight in state.model.parameters())
    motion, appearance, total = (loss.item() for loss in baseline)
    return (
        f"{weights / 1e6:.1f} million weights, {len(shards)} clips in {len(shards.paths)} shards, "
        f"{len(shards.views)} views per clip of {describe_views(state.code.input_geometry)}, "
        f"{order.steps_per_epoch} steps per epoch, on {device}\n"
        f"predicting the mean label: loss {total:.3f} (motion {motion:.3f}, appearance {appearance:.3f})"
    )
