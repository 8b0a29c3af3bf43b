"""A run's folder: its configuration and provenance, for reading and for resuming."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from mas_labels.errors import ConfigError, reason_of, unavailable
from mas_labels.schema import RUN_CONFIG_FILE
from mas_labels.shards import ShardSet
from mas_labels.system.files import write_text
from mas_labels.system.options import option_fields
from mas_labels.system.process import group_number
from mas_labels.system.yaml_text import YAML_ERRORS
from mas_train.data.training_shards import open_training_shards
from mas_train.recipe import TARGETS, Recipe
from mas_train.training.config_file import FACTS, PRETRAIN_COMMAND, config_entries
from mas_train.training.options import TrainingOptions
from mas_train.weights.checkpoint import TrainingState, list_checkpoints, save_checkpoint


def find_checkpoint(run: Path, resume: bool) -> Path | None:
    """Return the newest checkpoint for resuming, or None for a new run.

    Raises
    ------
    ConfigError
        If the folder holds a run and `resume` is false, or holds none and it is true.
    """
    checkpoints = list_checkpoints(run)
    if checkpoints and not resume:
        raise ConfigError(
            f"{run} already holds a run ({checkpoints[-1].name}): "
            "add --resume to continue it, or give another --out"
        )
    if resume and not checkpoints:
        raise ConfigError(f"nothing to resume in {run}, it holds no checkpoint: leave --resume out")
    return checkpoints[-1] if checkpoints else None


def begin_run(
    options: TrainingOptions,
    recipe: Recipe,
    shards: ShardSet,
    state: TrainingState,
    device: torch.device,
    generators: list[dict[str, torch.Tensor]],
    held_out_clips: int = 0,
) -> None:
    """Write a run's configuration and its first checkpoint, of the untrained weights, into `options.out`.

    `shards` are the training shards, `held_out_clips` is the number of held-out clips, and `generators` is as
    in `save_checkpoint`.

    Raises
    ------
    ConfigError
        If the folder cannot be written to.
    """
    run = options.out
    facts = {
        "labels": list(TARGETS[recipe.targets]),
        "geometry": asdict(shards.geometry),
        "held_out_clips": held_out_clips,
    }
    try:
        write_config(run, {**pretraining_entries(options, recipe, shards), **facts}, {"from_step": 0}, device)
        save_checkpoint(run, state, recipe, shards.content_hashes, generators)
    except OSError as error:
        raise ConfigError(f"cannot write to {run} ({reason_of(error)}): give another --out") from error


def write_config(run: Path, entries: dict[str, Any], start: dict[str, int], device: torch.device) -> None:
    """Write the configuration of a new run, and the environment that it starts in; raises `OSError`."""
    run.mkdir(parents=True, exist_ok=True)
    _write_yaml(run, {**entries, "environments": [{**start, **_environment(device)}]})


def _shard_options() -> list[str]:
    """Return the names of the options that take shards."""
    fields = option_fields(TrainingOptions).items()
    return [name for name, field in fields if issubclass(field.kind, Sequence) and field.kind is not str]


def pretraining_entries(options: TrainingOptions, recipe: Recipe, shards: ShardSet) -> dict[str, Any]:
    """Return the entries that decide a run of pre-training; `resume` is none of them, it acts once."""
    names = _shard_options()
    others = {name: getattr(options, name) for name in names if name != "shards"}
    sets = {name: open_training_shards(paths, True) for name, paths in others.items() if paths}
    plain = {name: value for name, value in asdict(options).items() if name not in (*names, "resume")}
    return config_entries(PRETRAIN_COMMAND, recipe, plain, {"shards": shards, **sets})


def note_resumption(
    run: Path,
    entries: dict[str, Any],
    start: dict[str, int],
    device: torch.device,
    say: Callable[[str], None],
) -> None:
    """Bring a run's configuration up to date when it resumes, and report a change of the environment.

    Parameters
    ----------
    run
        Its folder.
    entries
        Entries that decide it, as it resumes.
    start
        The place from which it goes on, such as ``{"from_step": 250}``.
    device
        Device on which it resumes.
    say
        Called with a line for the user.

    Raises
    ------
    ConfigError
        If the file is not the configuration of a run.
    UnavailableError
        If it cannot be read now.
    """
    path = run / RUN_CONFIG_FILE
    try:
        config: dict[str, Any] = yaml.safe_load(path.read_text())
        before = dict(config["environments"][-1])
    except OSError as error:
        raise unavailable(path, error) from error
    except YAML_ERRORS as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{path} is not the configuration of a run ({reason}): start a new run in another --out"
        ) from error
    now = _environment(device)
    changed = [
        f"{name} {before[name]} to {now[name]}" for name in now if before.get(name, now[name]) != now[name]
    ]
    if changed:
        say(f"note: changed since this run began: {', '.join(changed)}; weights may differ in the last bits")
    facts: dict[str, Any] = {name: config[name] for name in FACTS if name in config}
    facts["environments"] = [*config["environments"], {**start, **now}]
    _write_yaml(run, {**entries, **facts})


def _write_yaml(run: Path, config: dict[str, Any]) -> None:
    write_text(run / RUN_CONFIG_FILE, yaml.safe_dump(config, sort_keys=False))


def _environment(device: torch.device) -> dict[str, Any]:
    """Return the environment, on which the last bits of the weights depend."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processes": group_number("WORLD_SIZE", 1),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
