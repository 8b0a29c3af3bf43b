"""The videos of a data set with their classes and splits, and the listing as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mas_labels.datasets.split_rules import ALL
from mas_labels.errors import ConfigError, DatasetError
from mas_labels.names import first_names, printable

PACKED_EXTENSIONS: Final = (".rar", ".zip", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")
"""Extensions of archives in which data sets are published."""


@dataclass(frozen=True)
class VideoRecord:
    """One video of a data set.

    Attributes
    ----------
    path
        Relative to the data set's root, `/` between folders, exactly as on disk (bytes that are not UTF-8 are
        surrogate escapes: `os.fsencode` gives the bytes back).
    class_name, class_index
        Its class and the index of the class in `Listing.classes`; None and -1 without a class.
    splits
        Names of its splits.
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
        Names of the splits (without "all"), and where they come from, as text.
    missing
        Records of the videos in list files that are not on disk.
    unlisted
        Paths of the videos on disk that are in no split, if there are splits.
    ignored
        Number of files that do not look like videos, by extension.
    notes
        Notes for the user on what was decided, left out, or differs from the manifest.
    extracted
        Whether the videos are folders or archives of frames instead of video files.
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
            known = ", ".join((ALL, *self.split_names))
            raise ConfigError(f"{self.manifest_name} has no split {split!r}; there are: {known}")
        videos = tuple(video for video in self.videos if split in video.splits)
        if not videos:
            missing = sum(split in video.splits for video in self.missing)
            raise DatasetError(
                f"expected videos of split {split} in {self.root}, found none ({missing} are in its list). "
                f"`mas-labels list` shows all videos{as_sentences(listing_notes(self))}"
            )
        return videos


def count_extensions(ignored: Mapping[str, int]) -> str:
    """Return the number of files by extension as text."""
    return ", ".join(f"{count} {printable(extension)}" for extension, count in ignored.items()) or "no files"


def unpack_hint(ignored: Mapping[str, int]) -> str:
    """Return a sentence for a message about missing videos, if they may be in archives; else nothing."""
    packed = [extension for extension in ignored if extension in PACKED_EXTENSIONS]
    return f". If they are in the {', '.join(packed)}, unpack these" if packed else ""


def describe(listing: Listing) -> str:
    """Return a listing as text: a table of videos by class and split, then notes."""
    on_disk = {video.class_name for video in listing.videos} - {None}
    of_all = f" of {len(listing.classes)}" if len(on_disk) < len(listing.classes) else ""
    header = (
        f"{listing.manifest_name}: {len(listing.videos)} videos, {len(on_disk)}{of_all} classes, "
        f"in {printable(str(listing.root))}\n"
        f"splits: {', '.join(listing.split_names) or 'none'} ({listing.split_source})"
    )
    parts = [header, _table(listing), *listing_notes(listing)]
    return "\n\n".join(parts[:2]) + "".join(f"\n{part}" for part in parts[2:])


def listing_notes(listing: Listing) -> list[str]:
    """Return lines on all that a listing leaves out or decides; none if everything matches."""
    return [*_describe_gaps(listing), *(f"note: {note}" for note in listing.notes)]


def as_sentences(notes: Sequence[str]) -> str:
    """Return notes as sentences at the end of an error's message."""
    return "".join(f". {note.strip()}" for note in notes)


def _table(listing: Listing) -> str:
    """Return the table of videos, with one row per class and one column per split."""
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


def _describe_gaps(listing: Listing) -> list[str]:
    """Return lines on listed videos that are missing, videos in no split, and files that are not videos."""
    gaps = []
    if listing.missing:
        on_disk = {video.class_name for video in listing.videos}
        classes = sorted(
            {v.class_name or "(no class)" for v in listing.missing if v.class_name not in on_disk}
        )
        single = [video.path for video in listing.missing if video.class_name in on_disk]
        gaps.append(f"missing: {len(listing.missing)} listed videos are not on disk")
        if classes:
            gaps.append(f"  {len(classes)} whole classes: {first_names(classes)}")
        if single:
            gaps.append(f"  {len(single)} videos of the classes on disk: {first_names(single)}")
    if listing.unlisted:
        gaps.append(f"in no split: {len(listing.unlisted)} videos: {first_names(listing.unlisted)}")
    if listing.ignored:
        gaps.append(f"ignored, not videos by their names: {count_extensions(listing.ignored)}")
    return gaps
