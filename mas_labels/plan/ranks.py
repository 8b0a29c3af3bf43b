"""Our share of a plan: ranks split it and do not communicate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mas_labels.errors import ConfigError

VARIABLES = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP")
GIVE = "Give --rank and --world-size"


class RankShare(NamedTuple):
    """A rank's share of a plan."""

    rank: int = 0
    world_size: int = 1
    source: str | None = None
    """Source of rank and world size, for people; None if the share is the whole."""


def find_rank_share(rank: int | None, world_size: int | None, environment: Mapping[str, str]) -> RankShare:
    """Return the share of the plan that this run makes.

    Parameters
    ----------
    rank, world_size
        As given by the user; None: not given.
    environment
        Where Slurm's variables of a job array are looked for: task `MIN` is rank 0, whatever its number.

    Raises
    ------
    ConfigError
        If only one is given, if they contradict, or if the numbers of the array's tasks have gaps, so that
        ranks do not follow from them.
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
    if VARIABLES[0] not in environment:
        return RankShare()
    found = {name: environment[name] for name in (*VARIABLES, "SLURM_ARRAY_TASK_MAX") if name in environment}
    try:
        task, count = int(found[VARIABLES[0]]), int(found[VARIABLES[1]])
        first, step = int(found[VARIABLES[2]]), int(found.get(VARIABLES[3], "1"))
        last = int(found.get("SLURM_ARRAY_TASK_MAX", first + (count - 1) * step))
    except (KeyError, ValueError) as error:
        raise ConfigError(f"cannot read the rank from Slurm's variables {found} ({error}). {GIVE}") from error
    rank, rest = divmod(task - first, max(1, step))
    if rest or not 0 <= rank < count or last != first + (count - 1) * step:
        raise ConfigError(
            f"the tasks of this Slurm array have gaps ({count} tasks from {first} to {last}): ranks do not "
            f"follow from their numbers. {GIVE}"
        )
    return RankShare(rank, count, VARIABLES[0])
