"""Checkpoints: everything needed to resume a run bit for bit.

A checkpoint holds tensors, numbers, texts, lists and dictionaries only, and is read with `weights_only`: an
untrusted file cannot run code. It is written atomically and carries a digest of its content.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from mas_labels.errors import CheckpointError, reason_of, unavailable
from mas_labels.system.files import atomic_path
from mas_labels.system.linux import is_unsupported
from mas_train.model.heads import PretextModel
from mas_train.model.targets import TargetCode
from mas_train.recipe import Recipe, with_defaults
from mas_train.runtime.generators import set_generator_states
from mas_train.weights.tensor_file import check_digest, read_tensors, write_tensors

CHECKPOINT_FORMAT: Final = "mas-train-checkpoint"
CHECKPOINT_VERSIONS: Final = {"rgb": 2, "residual": 3}
"""Version of a checkpoint by the input of its network: programs from before residual frames refuse 3."""
CHECKPOINT_FORMATS: Final = {CHECKPOINT_FORMAT: CHECKPOINT_VERSIONS}
CHECKPOINT_FOLDER: Final = "checkpoints"
LAST_CHECKPOINT: Final = "last.pt"
BEST_CHECKPOINT: Final = "best.pt"
"""Links to the newest checkpoint, and to the one with the lowest held-out loss."""
KEPT_CHECKPOINTS: Final = 2
"""Number of newest checkpoints kept in a run's folder, in addition to the best."""


@dataclass
class TrainingState:
    """Everything that training changes: weights, optimiser, and the number of steps done."""

    model: PretextModel
    optimizer: torch.optim.Optimizer
    code: TargetCode
    """The coding of the model's outputs."""
    step: int = 0
    """Number of steps done."""
    scaler: torch.amp.GradScaler = field(default_factory=partial(torch.amp.GradScaler, "cpu", enabled=False))
    """Loss scaler for fp16; disabled for other precisions."""


def checkpoint_path(run: Path, step: int) -> Path:
    """Return the path of a run's checkpoint after `step` steps."""
    return run / CHECKPOINT_FOLDER / f"step-{step:08d}.pt"


def list_checkpoints(run: Path) -> list[Path]:
    """Return the checkpoints in a run's folder, oldest first.

    Raises
    ------
    UnavailableError
        If the folder cannot be read now.
    """
    folder = run / CHECKPOINT_FOLDER
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unavailable(folder, error) from error
    return sorted(folder / name for name in names if re.fullmatch(r"step-\d{8}\.pt", name))


def save_checkpoint(
    run: Path,
    state: TrainingState,
    recipe: Recipe,
    content_hashes: list[str],
    generators: list[dict[str, Tensor]],
) -> Path:
    """Write a checkpoint atomically, then remove the oldest ones.

    Parameters
    ----------
    run
        The run's folder.
    state
        State to save.
    recipe, content_hashes
        Of the run and its training shards; they must be equal on resuming.
    generators
        `generator_states` of each process, by rank.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    CheckpointError
        If it cannot be written; earlier checkpoints are unchanged.
    """
    content = {
        "format": CHECKPOINT_FORMAT,
        "version": CHECKPOINT_VERSIONS[recipe.input_frames],
        "recipe": asdict(recipe),
        "geometry": asdict(state.code.geometry),
        "content_hashes": content_hashes,
        "step": state.step,
        "model": state.model.state_dict(),
        "targets": state.code.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "scaler": state.scaler.state_dict(),
        "generators": generators,
    }
    path = checkpoint_path(run, state.step)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, content)
        _link(path, LAST_CHECKPOINT)
    except (OSError, RuntimeError) as error:
        raise _write_error(path, error) from error
    _remove_old(run)
    return path


def _remove_old(run: Path) -> None:
    """Remove all checkpoints but the newest and the best."""
    best = (run / CHECKPOINT_FOLDER / BEST_CHECKPOINT).resolve()
    for old in list_checkpoints(run)[:-KEPT_CHECKPOINTS]:
        if old.resolve() != best:
            old.unlink()


def mark_best(run: Path, step: int) -> None:
    """Link ``best.pt`` to the existing checkpoint after `step` steps.

    Raises
    ------
    CheckpointError
        If the link cannot be written.
    """
    path = checkpoint_path(run, step)
    try:
        _link(path, BEST_CHECKPOINT)
    except OSError as error:
        raise _write_error(path.with_name(BEST_CHECKPOINT), error) from error
    _remove_old(run)


def _write_error(path: Path, error: Exception) -> CheckpointError:
    """Make the error for a checkpoint that cannot be written, with the remedy."""
    restart = "use --resume" if any(path.parent.glob("step-*.pt")) else "start again"
    return CheckpointError(
        f"cannot write {path} ({reason_of(error)}): make room, or fix the cause; then {restart}"
    )


def _link(path: Path, name: str) -> None:
    """Link `name` to a checkpoint atomically; copy it where the file system has no links."""
    temporary = path.with_name(f".{name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        temporary.symlink_to(path.name)
    except OSError as error:
        if not is_unsupported(error) and error.errno not in (errno.EPERM, errno.EACCES):
            raise
        with atomic_path(path.with_name(name)) as copied:
            shutil.copyfile(path, copied)
        return
    temporary.replace(path.with_name(name))


def load_checkpoint(
    path: Path, formats: Mapping[str, Mapping[str, int]] = CHECKPOINT_FORMATS
) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Parameters
    ----------
    path
        The file.
    formats
        Accepted formats, each with the versions that this program reads.

    Raises
    ------
    CheckpointError
        If the file is corrupt, not a checkpoint, or of another version.
    UnavailableError
        If it cannot be read now.
    """
    then = "to resume from the previous checkpoint" if CHECKPOINT_FORMAT in formats else "and fine-tune again"
    remedy = f": remove it {then}"
    content = read_tensors(path, remedy)
    if not isinstance(content, dict) or content.get("format") not in formats:
        raise CheckpointError(f"{path} is not a checkpoint of mas-train")
    versions = formats[content["format"]].values()
    if content.get("version") not in versions:
        raise CheckpointError(
            f"{path} is a checkpoint of version {content.get('version')}, this mas-train reads "
            f"{' and '.join(map(str, versions))}"
        )
    check_digest(content, str(path), remedy)
    return content


def restore_training(
    path: Path,
    state: TrainingState,
    recipe: Recipe,
    content_hashes: list[str],
    device: torch.device,
    rank: int = 0,
) -> None:
    """Load a checkpoint into `state` and the random generators.

    Parameters
    ----------
    path
        The checkpoint.
    state
        A model and an optimiser built from `recipe`; changed in place.
    recipe, content_hashes
        Of the run that resumes.
    device
        Its generator is restored, as is the CPU's.
    rank
        Of this process. A rank that the saved run did not have keeps its generator state.

    Raises
    ------
    CheckpointError
        If the checkpoint cannot be read, or was made with another recipe or other shards.
    """
    content = load_checkpoint(path)
    _require_same(path, content, recipe, content_hashes)
    try:
        state.model.load_state_dict(content["model"])
        state.code.load_state_dict(content["targets"])
        load_optimizer(state.optimizer, content["optimizer"])
        state.scaler.load_state_dict(content["scaler"])
        if rank < len(content["generators"]):
            set_generator_states(content["generators"][rank], device)
        state.step = int(content["step"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} does not fit its own recipe ({reason}): it is damaged") from error


def load_optimizer(optimizer: torch.optim.Optimizer, content: dict[str, Any]) -> None:
    """Load the state of an optimiser, but keep its implementation (`fused`)."""
    fused = [group["fused"] for group in optimizer.param_groups]
    optimizer.load_state_dict(content)
    for group, value in zip(optimizer.param_groups, fused, strict=True):
        group["fused"] = value


def _require_same(path: Path, content: Mapping[str, Any], recipe: Recipe, hashes: list[str]) -> None:
    """Raise an error that names the difference if a run resumes with other options or shards."""
    then, now = with_defaults(content.get("recipe", {})), asdict(recipe)
    changed = [
        f"{name} was {_show_value(then.get(name))}, is {_show_value(now.get(name))}"
        for name in sorted(then.keys() | now.keys())
        if _show_value(then.get(name)) != _show_value(now.get(name))
    ]
    if changed:
        raise CheckpointError(
            f"{path} was made with other options: {'; '.join(changed)}. "
            "Resume with the same ones, or start a new run in another --out"
        )
    found = list(content.get("content_hashes", []))
    if found != hashes:
        raise CheckpointError(
            f"{path} was made from other shards: {_describe_shards(found, hashes)}. "
            "Resume with the same ones in the same order, or start a new run in another --out"
        )


def _show_value(value: Any) -> str:
    """Format a value of a recipe; tuples and lists look the same."""
    return str(list(value) if isinstance(value, tuple | list) else value) or "empty"


def _describe_shards(then: list[str], now: list[str]) -> str:
    """Describe how two lists of content hashes differ."""
    if sorted(then) == sorted(now):
        return f"the same {len(now)} in another order"
    common = len(set(then) & set(now))
    return f"it had {len(then)}, now there are {len(now)}, {common} of them the same"
