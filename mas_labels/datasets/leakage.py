"""Finds leaks between the training and test parts of a split: a common video, group, or file content."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mas_labels.datasets.listing import Listing, VideoRecord
from mas_labels.names import first_names
from mas_labels.video.open_video import stored_bytes
from mas_labels.video.pictures import video_files

COMPARED_BYTES: Final = 1 << 16
"""Size of the blocks in which two files are compared, up to the first difference."""


@dataclass(frozen=True)
class Leak:
    """Videos or groups that two splits share.

    Attributes
    ----------
    train, test
        The two splits.
    kind
        ``"video"``: a path is in both. ``"group"``: a group of one class is in both. ``"content"``: two files
        are equal byte for byte.
    shared
        The shared paths, groups or pairs of files as texts, sorted.
    """

    train: str
    test: str
    kind: str
    shared: tuple[str, ...]

    def __str__(self) -> str:
        finding = {
            "video": "videos are in both",
            "group": "groups are in both",
            "content": "videos of the second are copies of videos of the first",
        }[self.kind]
        splits = f"leak between {self.train} and {self.test}"
        return f"{splits}: {len(self.shared)} {finding}: {first_names(self.shared)}"


def split_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of splits to compare: train(ing) with test(ing) and val(idation) of the same number.

    >>> split_pairs(["train1", "test1", "train2", "test2"])
    [('train1', 'test1'), ('train2', 'test2')]
    """
    kinds = "(train|val|test)(?:ing|idation|idate|id)?(.*)"
    parts = [(name, re.fullmatch(kinds, name.lower())) for name in names]
    known = [(name, match[1], match[2]) for name, match in parts if match]
    return [
        (train, test)
        for train, kind, number in known
        for test, other, other_number in known
        if kind == "train" and other != "train" and number == other_number
    ]


def find_leaks(listing: Listing, contents: bool = True) -> list[Leak]:
    """Find what the training and test parts of a data set share.

    Parameters
    ----------
    listing
        The data set.
    contents
        Whether to compare the files as well. Only files of equal size are read, up to the first difference.

    Returns
    -------
    The leaks. Files that cannot be read are not counted: labelling reports them.
    """
    sizes = _file_sizes(listing) if contents else {}
    leaks = []
    for train_name, test_name in split_pairs(listing.split_names):
        train = [video for video in listing.videos if train_name in video.splits]
        test = [video for video in listing.videos if test_name in video.splits]
        found = {
            "video": {video.path for video in train} & {video.path for video in test},
            "group": _groups(train) & _groups(test),
            "content": set(_copies(listing.root, train, test, sizes)),
        }
        leaks += [
            Leak(train_name, test_name, k, tuple(sorted(shared))) for k, shared in found.items() if shared
        ]
    return leaks


def _groups(videos: Iterable[VideoRecord]) -> set[str]:
    """Return the groups of videos with their class: group numbers count within a class only."""
    return {f"{video.class_name} group {video.group}" for video in videos if video.group is not None}


def _file_sizes(listing: Listing) -> dict[str, int]:
    """Return the size in bytes of every video in a split that is compared."""
    compared = {name for pair in split_pairs(listing.split_names) for name in pair}
    sizes = {}
    for video in listing.videos:
        if compared.intersection(video.splits):
            try:
                sizes[video.path] = stored_bytes(listing.root / video.path)
            except OSError:
                continue
    return sizes


def _copies(
    root: Path, train: Sequence[VideoRecord], test: Sequence[VideoRecord], sizes: Mapping[str, int]
) -> Iterator[str]:
    """Yield `test = train` for each test video that equals a training video; empty files do not count."""
    of_size: dict[int, list[str]] = {}
    for video in train:
        of_size.setdefault(sizes.get(video.path, 0), []).append(video.path)
    of_size.pop(0, None)
    for path in (video.path for video in test):
        for other in of_size.get(sizes.get(path, 0), []):
            if other != path and _equal_videos(root / path, root / other):
                yield f"{path} = {other}"
                break


def _equal_videos(first: Path, second: Path) -> bool:
    """Return whether two files, or two folders of pictures in the order of their names, are equal."""
    try:
        files, other_files = video_files(first), video_files(second)
    except OSError:
        return False
    return len(files) == len(other_files) and all(map(_equal_files, files, other_files))


def _equal_files(first: Path, second: Path) -> bool:
    """Return whether two files are equal byte for byte; False if one cannot be read."""
    try:
        with first.open("rb") as one, second.open("rb") as other:
            while (block := one.read(COMPARED_BYTES)) == other.read(COMPARED_BYTES):
                if not block:
                    return True
    except OSError:
        pass
    return False
