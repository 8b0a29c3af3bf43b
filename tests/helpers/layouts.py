"""Makes folders of empty files with the layout of data sets, and reads their listings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.listing import Listing
from mas_labels.datasets.manifest import load_manifest

ID = "ABCDEFGHIJK_000027_000037"
"""Name of a clip of Kinetics."""
HEAD = "label,youtube_id,time_start,time_end,split\n"
CLIP = HEAD + "class one,ABCDEFGHIJK,27,37,train\n"
"""A CSV file with its row."""


Grow = Callable[..., Path]
"""Makes empty files of some paths under a root, and returns the root (fixture `grow`)."""


def grow(root: Path, *paths: str) -> Path:
    """Make empty files."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def found(manifest: str, root: Path, splits: Path | None = None) -> Listing:
    return find_videos(load_manifest(manifest), root, splits)


def rows(listing: Listing) -> list[tuple[str, str | None, tuple[str, ...]]]:
    return [(video.path, video.class_name, video.splits) for video in listing.videos]


def has_note(listing: Listing, text: str) -> bool:
    return any(text in note for note in listing.notes)
