"""The videos of a data set, with their classes and splits, and what a listing tells people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mas_labels.datasets.split_rules import ALL
from mas_labels.errors import ConfigError, DatasetError
from mas_labels.names import first_names, printable


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
        The manifest's `group`, such as the number in UCF101's `g07`; it counts within a class only.
    """

    path: str
    class_name: str | None
    class_index: int
    splits: tuple[str, ...]
    group: str | None


@dataclass(frozen=True)
class Listing:
    """The videos that a manifest finds in a folder.

    Attributes
    ----------
    manifest_name, root
        The manifest's name and the folder.
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
    extracted
        Whether the videos are folders of frames, or archives of them, and no video files.
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
    extracted: bool = False

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
                f"`mas-labels list` shows what there is{as_sentences(listing_notes(self))}"
            )
        return videos


def count_extensions(ignored: Mapping[str, int]) -> str:
    """Return the number of files of each extension as text."""
    return ", ".join(f"{count} {printable(extension)}" for extension, count in ignored.items()) or "no files"


def describe(listing: Listing) -> str:
    """Return what a manifest found as text: a table of videos by class and split, then what does not fit."""
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


def as_sentences(notes: Sequence[str]) -> str:
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
        gaps.append(f"ignored, not videos by their names: {count_extensions(listing.ignored)}")
    return gaps
