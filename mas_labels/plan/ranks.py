"""The share of a plan that this rank makes; ranks do not communicate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from mas_labels.errors import ConfigError

TASK_ID: Final = "SLURM_ARRAY_TASK_ID"
REQUIRED: Final = (TASK_ID, "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN")
OPTIONAL: Final = ("SLURM_ARRAY_TASK_STEP", "SLURM_ARRAY_TASK_MAX")
REMEDY: Final = "Give --rank and --world-size"


class RankShare(NamedTuple):
    """A rank's share of a plan."""

    rank: int = 0
    world_size: int = 1
    source: str | None = None
    """Origin of rank and world size, as text; None if the share is the whole plan."""


def find_rank_share(rank: int | None, world_size: int | None, environment: Mapping[str, str]) -> RankShare:
    """Return the share of the plan that this run makes.

    Parameters
    ----------
    rank, world_size
        As given by the user; None: not given.
    environment
        Environment variables. Without `rank`, those of a Slurm job array decide: task
        ``SLURM_ARRAY_TASK_MIN`` is rank 0, whatever its number.

    Raises
    ------
    ConfigError
        If only one of both is given, if they contradict each other, or if the numbers of the array's tasks
        have gaps, so that ranks do not follow from them.
    """
    if rank is None and world_size is None:
        return _slurm_share(environment)
    if rank is None or world_size is None:
        raise ConfigError("--rank and --world-size belong together: give both, or none of them")
    if not 0 <= rank < world_size:
        raise ConfigError(
            f"--rank: expected 0 to {world_size - 1} with --world-size {world_size}, found {rank}"
        )
    return RankShare(rank, world_size, "--rank")


def _slurm_share(environment: Mapping[str, str]) -> RankShare:
    """Return the share of a task of a Slurm job array; the whole plan outside of one."""
    if TASK_ID not in environment:
        return RankShare()
    variables = {name: environment[name] for name in (*REQUIRED, *OPTIONAL) if name in environment}
    try:
        task, count, first = (int(variables[name]) for name in REQUIRED)
        step = int(variables.get(OPTIONAL[0], "1"))
        last = int(variables.get(OPTIONAL[1], first + (count - 1) * step))
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"cannot read the rank from Slurm's variables {variables} ({error}). {REMEDY}"
        ) from error
    rank, remainder = divmod(task - first, max(1, step))
    if remainder or not 0 <= rank < count or last != first + (count - 1) * step:
        raise ConfigError(
            f"the tasks of this Slurm array have gaps ({count} tasks from {first} to {last}): ranks do not "
            f"follow from their numbers. {REMEDY}"
        )
    return RankShare(rank, count, TASK_ID)
