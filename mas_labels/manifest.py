"""A recipe and a folder -> the videos, each with its class, splits and group.

The recipe itself (the YAML file) is `mas_labels.recipe`; splits are read by `mas_labels.splits`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mas_labels.errors import ConfigError, DatasetError
from mas_labels.folder import FolderContents, first_names, printable, walk_folder
from mas_labels.path_match import match_paths
from mas_labels.recipe import Manifest, load_manifest
from mas_labels.split_rules import ALL
from mas_labels.split_table import Splits, fold_name
from mas_labels.splits import list_folders, order_classes, read_splits

__all__ = [
    "Listing",
    "Manifest",
    "VideoRecord",
    "describe",
    "find_videos",
    "list_videos",
    "listing_notes",
    "load_manifest",
]


@dataclass(frozen=True)
class VideoRecord:
    """One video of a data set.

    Attributes
    ----------
    path
        Relative to the data set's root, `/` between folders, exactly as on disk (names that are not UTF-8
        hold surrogate escapes: `os.fsencode` gives their bytes back).
    class_name, class_index
        Its class and the class's place in `Listing.classes`; None and -1 without a class.
    splits
        The splits it belongs to.
    group
        The recipe's `group`, such as the number in UCF101's `g07`; it counts within a class only.
    """

    path: str
    class_name: str | None
    class_index: int
    splits: tuple[str, ...]
    group: str | None


@dataclass(frozen=True)
class Listing:
    """What a recipe finds in a folder.

    Attributes
    ----------
    manifest_name, root
        The recipe's name and the folder.
    videos
        Videos on disk, sorted by path.
    classes
        Names of the classes; `classes[record.class_index] == record.class_name`.
    split_names, split_source
        The splits there are (without "all"), and where they come from, for people.
    missing
        Records of the videos in a list file that are not on disk.
    unlisted
        Paths of the videos on disk that are in no split, if there are splits.
    ignored
        Files that do not look like videos: extension -> count.
    notes
        Sentences for people on what does not fit.
    """

    manifest_name: str
    root: Path
    videos: tuple[VideoRecord, ...]
    classes: tuple[str, ...]
    split_names: tuple[str, ...] = ()
    split_source: str = "no splits"
    missing: tuple[VideoRecord, ...] = ()
    unlisted: tuple[str, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def select(self, split: str = ALL) -> tuple[VideoRecord, ...]:
        """Return the videos of a split; "all" is every video.

        Raises
        ------
        ConfigError
            There is no such split.
        DatasetError
            None of the split's videos is on disk.
        """
        if split == ALL:
            return self.videos
        if split not in self.split_names:
            there = ", ".join((ALL, *self.split_names))
            raise ConfigError(f"{self.manifest_name} has no split {split!r}; there are: {there}")
        videos = tuple(video for video in self.videos if split in video.splits)
        if not videos:
            missing = sum(split in video.splits for video in self.missing)
            raise DatasetError(
                f"expected videos of split {split} in {self.root}, found none ({missing} are in its list). "
                f"`mas-labels list` shows what there is{_as_sentences(listing_notes(self))}"
            )
        return videos


def find_videos(
    manifest: Manifest, root: str | Path, splits_dir: str | Path | None = None, follow_links: bool = False
) -> Listing:
    """Find a data set's videos.

    Parameters
    ----------
    manifest
        The recipe.
    root
        The data set's folder.
    splits_dir
        Folder of list files; without it they are looked for in and beside `root`.
    follow_links
        Whether links to folders, and to files outside of `root`, are followed.

    Raises
    ------
    DatasetError
        `root` is not a folder, cannot be read, holds no videos, or none where the recipe expects them.
    ConfigError
        `splits_dir` makes no sense for this recipe.
    """
    root = Path(root)
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise DatasetError(f"expected the folder of {manifest.name} at {root}, found {found}. Check the root")
    contents = walk_folder(root, manifest.extensions, follow_links)
    if not contents.videos:
        raise DatasetError(
            f"expected videos ({', '.join(manifest.extensions)}) under {root}, found "
            f"{_counted(contents.ignored)}. Check the root, and the extensions in the manifest"
            f"{_as_sentences(contents.notes)}"
        )
    return list_videos(manifest, contents, root, None if splits_dir is None else Path(splits_dir))


def list_videos(
    manifest: Manifest, contents: FolderContents, root: Path, splits_dir: Path | None = None
) -> Listing:
    """Give names their class, splits and group; no video file is touched.

    Raises
    ------
    DatasetError, ConfigError
        As `find_videos`.
    """
    matches = match_paths(manifest.path, contents.videos)
    strangers = [path for path in contents.videos if path not in matches]
    if not matches:
        raise DatasetError(
            f"none of the {len(strangers)} videos in {root} lies where the manifest {manifest.name} says: "
            f"expected {manifest.path}, found for example {printable(strangers[0])}. The root may be one "
            f"folder too high or too low{_as_sentences(contents.notes)}"
        )
    folders = list_folders(manifest, root, splits_dir)
    splits = read_splits(manifest, matches, folders)
    matches_missing = match_paths(manifest.path, splits.missing)
    named = (splits.classes.get(path, match.groupdict().get("class")) for path, match in matches.items())
    here = {name for name in named if name is not None}
    classes, class_notes = order_classes(manifest, here, set(splits.classes.values()), folders)
    record = _RecordMaker(classes, splits)
    return Listing(
        manifest_name=manifest.name,
        root=root,
        videos=tuple(record.make(path, match) for path, match in matches.items()),
        classes=classes,
        split_names=splits.names,
        split_source=splits.source,
        missing=tuple(record.make(path, matches_missing.get(path)) for path in splits.missing),
        unlisted=tuple(path for path in matches if splits.names and not splits.of(path)),
        ignored=contents.ignored,
        notes=(
            *contents.notes,
            *splits.notes,
            *class_notes,
            *_note_strangers(manifest, strangers),
            *_note_expected(manifest, len(matches), len(classes)),
        ),
    )


class _RecordMaker:
    """Makes records; holds what all videos of a listing share."""

    def __init__(self, classes: Sequence[str], splits: Splits) -> None:
        self._classes = classes
        self._index = {name: index for index, name in enumerate(classes)}
        self._index_folded = {fold_name(name): index for index, name in enumerate(classes)}
        self._splits = splits

    def make(self, path: str, match: re.Match[str] | None) -> VideoRecord:
        named = match.groupdict() if match else {}
        name = self._splits.classes.get(path, named.get("class"))
        # a class that is only in a list of missing videos has no number
        index = -1 if name is None else self._index.get(name, self._index_folded.get(fold_name(name), -1))
        return VideoRecord(
            path=path,
            class_name=self._classes[index] if index >= 0 else name,
            class_index=index,
            splits=self._splits.of(path),
            group=named.get("group"),
        )


def _note_strangers(manifest: Manifest, strangers: Sequence[str]) -> list[str]:
    if not strangers:
        return []
    return [
        f"{len(strangers)} videos do not lie where the manifest {manifest.name} expects them and are left "
        f"out: {first_names(strangers)}"
    ]


def _note_expected(manifest: Manifest, videos: int, classes: int) -> list[str]:
    """Say where the counts are not those of the whole data set."""
    counts = (("videos", manifest.expected_videos, videos), ("classes", manifest.expected_classes, classes))
    return [
        f"the whole data set has {expected} {what}, here are {found}"
        for what, expected, found in counts
        if expected not in (None, found)
    ]


def _counted(ignored: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {printable(extension)}" for extension, count in ignored.items()) or "no files"


def describe(listing: Listing) -> str:
    """Return what a recipe found as text: a table of videos by class and split, then what does not fit."""
    here = {video.class_name for video in listing.videos} - {None}
    of = f" of {len(listing.classes)}" if len(here) < len(listing.classes) else ""
    head = (
        f"{listing.manifest_name}: {len(listing.videos)} videos, {len(here)}{of} classes, "
        f"in {printable(str(listing.root))}\n"
        f"splits: {', '.join(listing.split_names) or 'none'} ({listing.split_source})"
    )
    parts = [head, _table(listing), *listing_notes(listing)]
    return "\n\n".join(parts[:2]) + "".join(f"\n{part}" for part in parts[2:])


def listing_notes(listing: Listing) -> list[str]:
    """Return lines on all that a listing leaves out or decides; none if everything fits."""
    return [*_gaps(listing), *(f"note: {note}" for note in listing.notes)]


def _as_sentences(notes: Sequence[str]) -> str:
    """Return notes as the end of an error's message."""
    return "".join(f". {note.strip()}" for note in notes)


def _table(listing: Listing) -> str:
    """Return one row a class, one column a split."""
    columns = (ALL, *listing.split_names)
    counts: dict[str, Counter[str]] = {}
    for video in listing.videos:
        row = "(no class)" if video.class_name is None else printable(video.class_name)
        counts.setdefault(row, Counter()).update((ALL, *video.splits))
    rows = [(row, counts[row]) for row in sorted(counts, key=str.lower)]
    rows.append(("total", sum(counts.values(), Counter())))
    width = max(len("class"), *(len(row) for row, _ in rows))
    lines = [f"{'class':<{width}}" + "".join(f"  {column:>7}" for column in columns)]
    lines += [
        f"{row:<{width}}" + "".join(f"  {count[c]:>{max(7, len(c))}}" for c in columns) for row, count in rows
    ]
    return "\n".join(lines)


def _gaps(listing: Listing) -> list[str]:
    """Return sentences on videos that are missing, in no list, or no videos."""
    gaps = []
    if listing.missing:
        here = {video.class_name for video in listing.videos}
        gone = sorted({v.class_name or "(no class)" for v in listing.missing if v.class_name not in here})
        single = [video.path for video in listing.missing if video.class_name in here]
        gaps.append(f"missing: {len(listing.missing)} listed videos are not on disk")
        if gone:
            gaps.append(f"  {len(gone)} whole classes: {first_names(gone)}")
        if single:
            gaps.append(f"  {len(single)} videos of the classes that are here: {first_names(single)}")
    if listing.unlisted:
        gaps.append(f"in no split: {len(listing.unlisted)} videos: {first_names(listing.unlisted)}")
    if listing.ignored:
        gaps.append(f"ignored, not videos by their names: {_counted(listing.ignored)}")
    return gaps
