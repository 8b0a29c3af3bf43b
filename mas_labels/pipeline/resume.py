"""Shards that are finished already: whether they are this run's, and what they hold."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mas_labels.config import LabelConfig, RunOptions
from mas_labels.errors import OptionsDifferError
from mas_labels.names import first_names
from mas_labels.plan.plan import ShardPlan
from mas_labels.shards.header import ShardHeader, read_header
from mas_labels.version import versions
from mas_labels.video.pictures import stored_bytes


@dataclass(frozen=True)
class ShardResult:
    """Outcome of one shard.

    Attributes
    ----------
    name
        Its file name.
    planned, videos, clips, failures
        Videos it was to hold; videos that gave clips; clips; videos that failed, some of them after clips.
    error
        None, or what kept it from being written.
    """

    name: str
    planned: int
    videos: int = 0
    clips: int = 0
    failures: int = 0
    error: str | None = None


def shard_result(shard: ShardHeader, plan: ShardPlan) -> ShardResult:
    """Count what a finished shard holds."""
    return ShardResult(plan.name, len(plan.videos), len(shard.videos), shard.clips, len(shard.failures))


def finished_shards(
    out: Path,
    plan: Sequence[ShardPlan],
    config: LabelConfig,
    root: Path,
    options: RunOptions,
) -> dict[str, ShardResult]:
    """Find the shards of our share of the plan that are already in the folder, by name.

    With `retry_failed`, shards that hold failures are not finished, unless videos that they have labels of
    are gone. Of the other ranks' shards one is looked at, since each rank looks at its own.

    Raises
    ------
    OptionsDifferError
        If the folder holds a shard of another plan, of other options, by other versions or of other videos.
    ShardError
        If a shard there is damaged.
    """
    ours = {shard.name: shard for shard in plan[options.rank :: options.world_size]}
    others = {shard.name: shard for shard in plan} if options.world_size > 1 else {}
    finished, seen_others, kept = {}, False, list[str]()
    names = (entry.name for entry in os.scandir(out))
    for name in sorted(name for name in names if name.endswith(".h5") and name[0] != "."):
        if name not in ours and name in others and seen_others:
            continue
        shard_plan = ours.get(name, others.get(name, plan[0]))
        shard = read_header(out / name)
        check_same_run(shard, shard_plan, config)
        if name not in ours:
            seen_others = True
            continue
        gone = _check_same_files(shard, root, options.retry_failed)
        retried = options.retry_failed and bool(shard.failures)
        if not retried or gone:
            finished[name] = shard_result(shard, shard_plan)
            kept += gone if retried else []
    if kept:
        print(
            f"shards with failures are kept where --retry-failed would lose labels: {len(kept)} of their "
            f"videos are not under {root} any more: {first_names(kept)}",
            file=sys.stderr,
        )
    return finished


MEANINGS = {
    "count": "the number of shards, by --videos-per-shard or the number of videos",
    "videos_hash": "the data set's videos, or their classes and splits",
    "classes_hash": "the data set's classes",
    "limit": "--limit",
    "batch": "the number of times that videos were added before",
}
"""Explanations of options whose names do not say enough."""


def check_same_run(shard: ShardHeader, plan: ShardPlan, config: LabelConfig) -> None:
    """Refuse a shard that this run would make otherwise, naming what differs.

    Raises
    ------
    OptionsDifferError
        Saying what was and what is now.
    """
    ours: Mapping[str, Any] = {**config.as_dict(), **plan.as_dict(), **versions()}
    theirs: Mapping[str, Any] = {**shard.config, **shard.plan, **shard.versions}
    differing = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if not {"count", "split", "manifest", "limit", "batch"}.isdisjoint(differing):  # then these follow
        differing = [name for name in differing if name not in ("index", "videos_hash")]
    found = [describe_difference(name, theirs.get(name), ours.get(name)) for name in differing]
    if found:
        raise OptionsDifferError(
            f"{shard.path} was made with other options: {'; '.join(found)}. "
            "Use the same options, or choose another --out"
        )


def describe_difference(name: str, before: Any, now: Any) -> str:
    """Say what an option was and what it is now."""
    return f"{MEANINGS.get(name, name)} was {_short(before)}, is now {_short(now)}"


def _short(value: Any) -> str:
    """Show a value, the start of a hash."""
    if value is None:
        return "not given"
    return f"{value[:8]}..." if isinstance(value, str) and len(value) == 64 else repr(value)


def _check_same_files(shard: ShardHeader, root: Path, retry_failed: bool) -> list[str]:
    """Refuse a shard whose videos now have other sizes: it was made of another copy of the data set.

    Returns
    -------
    Paths of the videos with clips that cannot be reached any more.
    """
    failed, gone = set(shard.failures), []
    for path, size in shard.videos.items():
        try:
            found = stored_bytes(root / path)
        except OSError:  # gone or unreadable now: the shard is the better for having been made
            gone.append(path)
            continue
        if retry_failed and path in failed:  # mended, we hope
            continue
        if found != size:
            mended = " (or, if it was mended, --retry-failed)" if path in failed else ""
            raise OptionsDifferError(
                f"{shard.path} was made of a {path!r} of {size} bytes, under {root} it has {found}: label "
                f"another data set into another --out, or remove the shard to label the new file{mended}"
            )
    return gone
