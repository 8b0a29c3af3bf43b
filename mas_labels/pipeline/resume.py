"""Finished shards of a folder: check that they belong to this run, and count their clips."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mas_labels.config import LabelConfig, RunOptions
from mas_labels.errors import ConfigError, OptionsDifferError
from mas_labels.names import first_names, printable
from mas_labels.plan.plan import ShardPlan
from mas_labels.shards.header import ShardHeader, read_header
from mas_labels.version import resumable, versions
from mas_labels.video.open_video import stored_bytes

OPTION_MEANINGS: Final = {
    "count": "the number of shards, by --videos-per-shard or the number of videos",
    "videos_hash": "the data set's videos, or their classes and splits",
    "classes_hash": "the data set's classes",
    "limit": "--limit",
    "batch": "the number of times that videos were added before",
}
"""Descriptions of options whose names are not self-explanatory."""


@dataclass(frozen=True)
class ShardResult:
    """Outcome of one shard.

    Attributes
    ----------
    name
        Its file name.
    planned, videos, clips, failures
        Number of planned videos; of videos with clips; of clips; of videos that failed, perhaps after clips.
    cut_clips, skipped_clips
        Number of clips across a shot cut, in the shard and left out of it.
    error
        Why it was not written; None if it was.
    """

    name: str
    planned: int
    videos: int = 0
    clips: int = 0
    failures: int = 0
    cut_clips: int = 0
    skipped_clips: int = 0
    error: str | None = None


def shard_result(shard: ShardHeader, plan: ShardPlan) -> ShardResult:
    """Count the videos and clips of a finished shard."""
    counts = len(shard.videos), shard.clips, len(shard.failures), shard.cut_clips, shard.skipped_clips
    return ShardResult(plan.name, len(plan.videos), *counts)


def finished_shards(
    out: Path, plan: Sequence[ShardPlan], config: LabelConfig, root: Path, options: RunOptions
) -> dict[str, ShardResult]:
    """Find the shards of this rank's share of the plan that are finished.

    With `retry_failed`, shards that hold failures do not count as finished, unless videos that they have
    labels of are gone. Of the other ranks' shards only one is checked, since each rank checks its own.

    Returns
    -------
    dict
        Name of the shard -> its result.

    Raises
    ------
    OptionsDifferError
        If the folder holds a shard of another plan, of other options, by other versions or of other videos.
    ConfigError
        If a shard has another name than in the plan.
    ShardError
        If a shard there is corrupt.
    """
    own = {shard.name for shard in plan[options.rank :: options.world_size]}
    others = {shard.name for shard in plan} - own
    by_number = {f"{shard.batch} {shard.index}": shard for shard in plan}
    finished, is_other_checked, kept = {}, False, list[str]()
    names = (entry.name for entry in os.scandir(out))
    for name in sorted(name for name in names if name.endswith(".h5") and name[0] != "."):
        if name in others and is_other_checked:
            continue
        shard = read_header(out / name)
        shard_plan = by_number.get(f"{shard.plan.get('batch', 0)} {shard.plan.get('index')}", plan[0])
        check_same_run(shard, shard_plan, config)
        _require_name(shard, shard_plan)
        if name in others:
            is_other_checked = True
            continue
        gone = _check_same_files(shard, root, options.retry_failed)
        retried = options.retry_failed and bool(shard.failures)
        if not retried or gone:
            finished[name] = shard_result(shard, shard_plan)
            kept += gone if retried else []
    if kept:
        print(
            f"shards with failures are kept if --retry-failed would lose labels: {len(kept)} of their "
            f"videos are no longer under {root}: {first_names(kept)}",
            file=sys.stderr,
        )
    return finished


def _require_name(shard: ShardHeader, plan: ShardPlan) -> None:
    """Raise if a shard of the plan has another name: it would be made again, and its clips read twice."""
    if shard.path.name != plan.name:
        raise ConfigError(
            f"{printable(str(shard.path))} is {plan.name} under another name: rename it or, if it is a copy, "
            "move it to another folder"
        )


def check_same_run(shard: ShardHeader, plan: ShardPlan, config: LabelConfig) -> None:
    """Raise if this run would make a shard differently; name what differs.

    Raises
    ------
    OptionsDifferError
        With each option before and now.
    """
    current: Mapping[str, Any] = {**config.as_dict(), **plan.as_dict(), **versions()}
    stored: Mapping[str, Any] = {**shard.config, **shard.plan, **resumable(shard.versions)}
    differing = [name for name in {**current, **stored} if current.get(name) != stored.get(name)]
    if not {"count", "split", "manifest", "limit", "batch"}.isdisjoint(
        differing
    ):  # the others follow from these
        differing = [name for name in differing if name not in ("index", "videos_hash")]
    differences = [describe_difference(name, stored.get(name), current.get(name)) for name in differing]
    if differences:
        raise OptionsDifferError(
            f"{shard.path} was made with other options: {'; '.join(differences)}. "
            "Use the same options, or choose another --out"
        )


def describe_difference(name: str, before: Any, now: Any) -> str:
    """Return a text about an option before and now."""
    return f"{OPTION_MEANINGS.get(name, name)} was {_short(before)}, is now {_short(now)}"


def _short(value: Any) -> str:
    """Return a value as text; of a hash only its beginning."""
    if value is None:
        return "not given"
    return f"{value[:8]}..." if isinstance(value, str) and len(value) == 64 else repr(value)


def _check_same_files(shard: ShardHeader, root: Path, retry_failed: bool) -> list[str]:
    """Raise if a shard's videos now have other sizes: it was made from another copy of the data set.

    Returns
    -------
    list of str
        Paths of videos with clips that can no longer be read.
    """
    failed, gone = set(shard.failures), []
    for path, size in shard.videos.items():
        try:
            size_now = stored_bytes(root / path)
        except OSError:  # gone or unreadable now: all the more reason to keep the shard
            gone.append(path)
            continue
        if retry_failed and path in failed:  # it was replaced, presumably
            continue
        if size_now != size:
            remedy = " (or, if it was replaced, --retry-failed)" if path in failed else ""
            raise OptionsDifferError(
                f"{shard.path} was made from a {path!r} of {size} bytes, under {root} it has {size_now}: "
                "label another data set into another --out, or remove the shard to label the new "
                f"file{remedy}"
            )
    return gone
