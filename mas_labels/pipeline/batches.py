"""The plan of a resumed run: the batches that a folder was planned in before, and videos added since.

Notes
-----
A folder that was started before plan files existed has none. If all its shards are there, the batch is read
from them; if not, the videos of the data set must still be those that it was started with.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mas_labels.config import LabelConfig, RunOptions
from mas_labels.datasets.folder import names_in
from mas_labels.datasets.listing import VideoRecord
from mas_labels.errors import ConfigError, OptionsDifferError
from mas_labels.names import first_names, fold_name, match_names, printable
from mas_labels.pipeline.resume import ShardResult, describe_difference, finished_shards
from mas_labels.plan.file_names import PLAN_SUFFIX, SHARD_NAME, batch_name
from mas_labels.plan.plan import MAX_SHARD_VIDEOS, Batch, Plan, hash_videos, renumber_class, shard_counts
from mas_labels.plan.plan_file import plan_paths, read_plan_file, write_plan_file
from mas_labels.shards.reader import Shard
from mas_labels.shards.tables import read_failures, read_videos


def settle_plan(
    plan: Plan, config: LabelConfig, root: Path, out: Path, options: RunOptions
) -> tuple[Plan, dict[str, ShardResult]]:
    """Decide what a folder will hold, and write that into it as plan files.

    If several ranks start at once, one writes a plan file, and the others adopt it.

    Returns
    -------
    plan : Plan
        The plan of all batches.
    finished : dict
        Name -> result of the finished shards of this rank's share.

    Raises
    ------
    ConfigError, OptionsDifferError, ShardError
        As `resume_plan` does, before anything is written.
    StorageError
        If a plan file cannot be written.
    """
    while True:
        settled, finished = resume_plan(plan, config, root, out, options)
        if all(write_plan_file(out, batch) for batch in _unwritten(out, settled)):
            return settled, finished


def _unwritten(out: Path, plan: Plan) -> list[Batch]:
    """Return the batches without a plan file, except those whose videos' records are not all known."""
    known, new = plan.batches[: plan.known], plan.batches[plan.known :]
    read_from_shards = [batch for batch in known if not (out / f"{batch.name}{PLAN_SUFFIX}").exists()]
    return [*(batch for batch in read_from_shards if not batch.videos_hashes), *new]


def resume_plan(
    plan: Plan, config: LabelConfig, root: Path, out: Path, options: RunOptions
) -> tuple[Plan, dict[str, ShardResult]]:
    """Derive the plan of a folder from its content and from the plan of this run; nothing is written.

    Returns
    -------
    plan, finished
        As `settle_plan` does.

    Raises
    ------
    ConfigError
        If a plan file is corrupt, or one is missing.
    OptionsDifferError
        If the folder holds another data set or split, or none of the videos that are there now, was planned
        or made with other options, or a video's class, splits or group have changed.
    ShardError
        If a shard there is corrupt.
    """
    if not out.is_dir():
        return plan, {}
    settled = plan.after(_known_batches(out, plan))
    if not settled.known and plan.videos_per_shard is None:
        settled = _as_begun(out, settled)
    for batch in settled.batches[: settled.known]:
        _check_same_batch(out, batch, settled)
    planned = sum(len(batch.videos) for batch in settled.batches[: settled.known])
    if settled.added and len(settled.removed) == planned:
        raise OptionsDifferError(
            f"none of the {planned} videos that {out} was planned from is in {root}, others are: check the "
            "root, or choose another --out (shards of several folders can be read together)"
        )
    try:
        return settled, finished_shards(out, settled, config, root, options)
    except OptionsDifferError as error:
        first = batch_name(plan.listing.manifest_name, plan.split, 0)
        if settled.known or not any(name.startswith(f"{first}-0") for name in names_in(out)):
            raise
        raise OptionsDifferError(
            f"{error}. If videos were added or removed since: {out} was started before plan files existed, "
            "so it can only be finished with the videos it was started with; others can be added after that"
        ) from error


def describe_changes(plan: Plan) -> list[str]:
    """Return a line about videos that were added since a folder was planned, and one about those removed."""
    lines = [
        f"{len(batch.videos)} videos were added to the data set since: {batch.count} more shards, "
        f"{batch.name}-*.h5"
        for batch in plan.added
    ]
    if plan.removed:
        lines.append(
            f"{len(plan.removed)} videos that were planned before are no longer in the data set, their "
            f"labels stay: {first_names(plan.removed)}"
        )
    return lines


def print_changes(plan: Plan) -> None:
    """Print which videos were added and removed to stderr."""
    for line in describe_changes(plan):
        print(line, file=sys.stderr)


def _known_batches(out: Path, plan: Plan) -> list[Batch]:
    """Read the batches of a folder from its plan files, or else from its shards."""
    batches: list[Batch] = []
    unread = {path.name: path for path in plan_paths(out)}
    while True:
        name = batch_name(plan.listing.manifest_name, plan.split, len(batches))
        path = unread.pop(f"{name}{PLAN_SUFFIX}", None)
        batch = _batch_of_shards(out, name, plan, len(batches)) if path is None else read_plan_file(path)
        if batch is None:
            break
        batches.append(batch)
    for path in unread.values():
        _refuse_plan_file(out, path, read_plan_file(path), plan, name)
    return batches


def _as_begun(out: Path, plan: Plan) -> Plan:
    """Return the plan with the larger shards of older versions if the folder holds some of them."""
    larger = replace(plan, videos_per_shard=MAX_SHARD_VIDEOS).after(())
    return larger if {shard.name for shard in larger} & set(names_in(out)) else plan


def _refuse_plan_file(out: Path, path: Path, planned: Batch, plan: Plan, expected: str) -> None:
    """Raise because a plan file is of another data set or split, or because one before it is missing."""
    if (planned.manifest, planned.split) == (plan.listing.manifest_name, plan.split):
        raise ConfigError(
            f"{path} is of videos that were added after {expected}{PLAN_SUFFIX}, which is missing: put it "
            "back, or choose another --out"
        )
    raise OptionsDifferError(
        f"{path} plans split {planned.split!r} of {planned.manifest}, this run is for split "
        f"{plan.split!r} of {plan.listing.manifest_name}: choose another --out{_or_remove(out, planned)}"
    )


def _or_remove(out: Path, batch: Batch) -> str:
    """Return advice to remove a plan file, if no shard of it was made."""
    if any((out / shard.name).exists() for shard in batch.shards()):
        return ""
    return f", or remove {out / batch.name}{PLAN_SUFFIX}, of which no shard was made yet"


def _batch_of_shards(out: Path, name: str, plan: Plan, number: int) -> Batch | None:
    """Read a batch from its shards if all of them are there, else return None."""
    matches = (SHARD_NAME.fullmatch(entry.name) for entry in os.scandir(out))
    counts = {match.group(): int(match["count"]) for match in matches if match and match["batch"] == name}
    names = sorted(counts)
    if not names or len(names) != counts[names[0]]:
        return None
    parts: list[list[VideoRecord]] = []
    hashes: list[str] = []
    classes: tuple[str, ...] = ()
    limit = None
    for shard_file in names:
        with Shard(out / shard_file) as shard:
            classes, limit = tuple(shard.read_texts("classes")), shard.plan.get("limit")
            hashes.append(str(shard.plan.get("videos_hash")))
            parts.append(_records_of_shard(shard, plan, classes))
    videos = tuple(sorted((video for part in parts for video in part), key=lambda video: video.path))
    batch = Batch(plan.listing.manifest_name, plan.split, number, len(names), videos, classes, limit)
    if [{*part} for part in parts] != [{*shard.videos} for shard in batch.shards()]:
        return None  # not planned by this project: refused like any other plan
    exact = [hash_videos(shard.videos) for shard in batch.shards()] == hashes
    return batch if exact else replace(batch, videos_hashes=tuple(hashes))


def _records_of_shard(shard: Shard, plan: Plan, classes: Sequence[str]) -> list[VideoRecord]:
    """Return the records of a shard's videos; of one that failed, the shard holds only the path."""
    used = [
        VideoRecord(video.path, video.class_name, video.class_index, video.splits, video.group)
        for video in read_videos(shard)
    ]
    failed = {failure.video for failure in read_failures(shard)} - {video.path for video in used}
    numbers = [*match_names(plan.listing.classes, classes), -1]
    listed = {video.path: video for video in plan.listing.videos if video.path in failed}
    unknown = {path: VideoRecord(path, None, -1, (), None) for path in failed}
    return [*used, *(renumber_class(video, classes, numbers) for video in (unknown | listed).values())]


def _check_same_batch(out: Path, batch: Batch, plan: Plan) -> None:
    """Raise if a batch would be planned differently now; name what differs."""
    differing = []
    counts = shard_counts(len(batch.videos), plan.videos_per_shard)
    if batch.count not in counts:
        differing.append(describe_difference("count", batch.count, counts[0]))
    planned = sum(len(one.videos) for one in plan.batches[: batch.number + 1])
    if plan.limit != batch.limit and (batch.limit is not None or (plan.limit or planned) < planned):
        differing.append(describe_difference("limit", batch.limit, plan.limit))
    if differing:
        raise OptionsDifferError(
            f"{out / batch.name} was planned with other options: {'; '.join(differing)}. Use the same "
            f"options, or choose another --out{_or_remove(out, batch)}"
        )
    _check_same_records(out, batch, plan)


def _check_same_records(out: Path, batch: Batch, plan: Plan) -> None:
    """Raise if a video's class, splits or group have changed since it was planned."""
    known = {video.path: video for video in batch.videos}
    for video in plan.listing.videos:
        before = known.get(video.path)
        if before is None or _fixed_part(before) == _fixed_part(video):
            continue
        raise OptionsDifferError(
            f"{out / batch.name} was planned with {_describe_record(before)} of {printable(video.path)!r}, "
            f"which now has {_describe_record(video)}: use the lists and folders as they were, or choose "
            "another --out"
        )


def _fixed_part(video: VideoRecord) -> tuple[object, ...]:
    """Return the part of a record that must not change; the spelling and number of its class may."""
    name = None if video.class_name is None else fold_name(video.class_name)
    return name, video.splits, video.group


def _describe_record(video: VideoRecord) -> str:
    """Return class, splits and group of a record as text."""
    group = "" if video.group is None else f", group {video.group}"
    return f"class {video.class_name!r}, splits {', '.join(video.splits) or 'none'}{group}"
