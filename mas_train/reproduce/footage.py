"""The videos of the small experiment, as folders of links: parts by groups, each of which is labelled once.

Notes
-----
Test split 1, 2 and 3 of UCF101 are its groups 1 to 7, 8 to 14 and 15 to 21, and each split trains on all
other groups. So four parts serve all splits. Videos of other classes are a fifth: networks are pre-trained
with them, and never tested on them.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mas_labels.errors import ConfigError, reason_of
from mas_labels.shards import spread_evenly

VIDEO_FOLDER: Final = "videos"
"""Folder of the links in a work folder."""
OTHERS: Final = "others"
"""Name of the part of other classes."""
VIDEO_NAME: Final = re.compile(r"(?:v_)?(?P<label>.+?)_g?(?P<group>\d+)(?:_c\d+)?\.(?:avi|mp4)")
"""Class and group in the name of a file, of UCF101 or of the demo."""
ORIGINAL_CODEC: Final = "XVID"
"""Codec of UCF101's files as they are distributed."""
HEADER_BYTES: Final = 512
"""Length of the beginning of an AVI file that names its codec."""


@dataclass(frozen=True)
class Part:
    """Some groups of the classes.

    Attributes
    ----------
    name
        Name of its folders of links and shards.
    groups
        Numbers of its groups.
    split
        A split of the manifest that all its videos belong to.
    """

    name: str
    groups: range
    split: str


@dataclass(frozen=True)
class Footage:
    """Choice of the videos.

    Attributes
    ----------
    manifest
        Name of the data set's manifest.
    classes
        The classes to tell apart.
    parts
        Their parts.
    max_others
        Most videos of other classes; of more, as many are taken evenly spread over the sorted names.
    """

    manifest: str = "ucf101"
    classes: tuple[str, ...] = ("Archery", "HorseRace", "PlayingPiano", "PlayingViolin", "YoYo")
    parts: tuple[Part, ...] = (
        Part("test1", range(1, 8), "test1"),
        Part("test2", range(8, 15), "test2"),
        Part("test3", range(15, 22), "test3"),
        Part("rest", range(22, 26), "train1"),
    )
    max_others: int = 155


Sorted = Mapping[str, Mapping[str, Path]]
"""Part -> ``<class>/<name of the file>`` -> file."""


def sort_videos(footage: Footage, roots: Sequence[Path]) -> Sorted:
    """Find the videos in some folders and below them, and sort them into parts.

    Of files of one name, that in the earliest folder is taken.

    Raises
    ------
    ConfigError
        If a part has videos of fewer than two classes.
    """
    parts: dict[str, dict[str, Path]] = {part.name: {} for part in footage.parts}
    others: dict[str, Path] = {}
    for name, path in sorted(_find_files(roots).items()):
        match = VIDEO_NAME.fullmatch(name)
        label, group = (match["label"], int(match["group"])) if match else ("", 0)
        if label in footage.classes:
            for part in footage.parts:
                if group in part.groups:
                    parts[part.name][f"{label}/{name}"] = path
        elif match:
            others[f"{label}/{name}"] = path
    for name, videos in parts.items():
        if len({video.partition("/")[0] for video in videos}) < 2:
            raise ConfigError(
                f"expected videos of {', '.join(footage.classes)} for {name}, named as in UCF101 "
                f"(v_YoYo_g01_c01.avi), found {len(videos)} in {', '.join(map(str, roots))}: give their "
                "folders as --root"
            )
    names = list(others)
    chosen = [names[place] for place in spread_evenly(len(names), footage.max_others)] if names else []
    return {**parts, OTHERS: {name: others[name] for name in chosen}}


def _find_files(roots: Iterable[Path]) -> dict[str, Path]:
    """Return the files in some folders and below them, also behind links to folders, by name."""
    found: dict[str, Path] = {}
    seen: set[Path] = set()
    for root in roots:
        for folder, folders, files in os.walk(root, followlinks=True):
            real = Path(folder).resolve()
            if real in seen:  # a link to a folder above
                folders.clear()
                continue
            seen.add(real)
            for name in files:
                found.setdefault(name, real / name)
    return found


def link_videos(footage: Footage, roots: Sequence[Path], work: Path) -> str:
    """Make the folders of links, or bring them up to date; return a line about the videos.

    Raises
    ------
    ConfigError
        As `sort_videos`, or if a link cannot be made.
    """
    parts = sort_videos(footage, roots)
    try:
        for part, videos in parts.items():
            _link_part(work / VIDEO_FOLDER / part, videos)
    except OSError as error:
        raise ConfigError(
            f"cannot link videos in {work} ({reason_of(error)}): give a --work on a disk that has links"
        ) from error
    counts = ", ".join(f"{part} {len(videos)}" for part, videos in parts.items())
    return f"{sum(map(len, parts.values()))} videos in {len(roots)} folders: {counts}"


def _link_part(folder: Path, videos: Mapping[str, Path]) -> None:
    """Make a folder hold exactly these links."""
    for link in folder.glob("*/*"):
        if videos.get(f"{link.parent.name}/{link.name}") != link.readlink():
            link.unlink()
    for name, path in videos.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path)


def describe_footage(footage: Footage, work: Path) -> str:
    """Return sentences about the videos that a work folder links to: how many, and which are re-encoded."""
    links = {
        part: list((work / VIDEO_FOLDER / part).glob("*/*"))
        for part in (*(part.name for part in footage.parts), OTHERS)
    }
    others = len(links.pop(OTHERS))
    labelled = sum(map(len, links.values()))
    counts = ", ".join(f"{len(found)} in `{part}`" for part, found in links.items())
    text = f"{labelled} videos of {len(footage.classes)} classes ({counts}), and {others} of other classes."
    codecs = Counter(read_codec(link) for link in (work / VIDEO_FOLDER).glob("*/*/*"))
    changed = sum(codecs.values()) - codecs[ORIGINAL_CODEC]
    if footage.manifest != "ucf101" or not changed:
        return text
    kinds = ", ".join(f"{count} {codec}" for codec, count in codecs.most_common())
    return (
        f"{text} **{changed} of these {labelled + others} files are re-encoded**: the data set comes in "
        f"{ORIGINAL_CODEC}, these are {kinds}."
    )


def read_codec(path: Path) -> str:
    """Return the four letters by which an AVI file names its codec; "unknown" for other files."""
    try:
        with path.open("rb") as file:
            found = re.search(rb"vids(\w{4})", file.read(HEADER_BYTES))
    except OSError:
        return "unknown"
    return found[1].decode().upper() if found else "unknown"
