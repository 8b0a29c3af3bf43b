"""A manifest and a folder -> the videos, each with its class, splits and group.

The manifest itself (the YAML file) is `mas_labels.datasets.manifest`; splits are read by
`mas_labels.datasets.splits`.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from mas_labels.datasets.classes import Classes, order_classes
from mas_labels.datasets.duplicates import blank_replacements, take_one_file_each
from mas_labels.datasets.folder import FolderContents, file_mode, walk_folder
from mas_labels.datasets.layout_hints import hint_root, note_level, note_lists, note_split_folders
from mas_labels.datasets.listing import (
    Listing,
    VideoRecord,
    as_sentences,
    count_extensions,
    describe,
    listing_notes,
)
from mas_labels.datasets.manifest import Manifest, load_manifest
from mas_labels.datasets.path_match import PathParts, read_paths
from mas_labels.datasets.split_table import Splits
from mas_labels.datasets.splits import list_folders, read_splits
from mas_labels.errors import DatasetError
from mas_labels.names import first_names, printable
from mas_labels.video.frame_names import PICTURE_EXTENSIONS

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


def find_videos(
    manifest: Manifest, root: str | Path, splits_dir: str | Path | None = None, follow_links: bool = False
) -> Listing:
    """Find a data set's videos.

    Parameters
    ----------
    manifest
        The manifest.
    root
        The data set's folder.
    splits_dir
        Folder of list files; without it they are looked for in and beside `root`.
    follow_links
        Whether links to folders, and to files outside of `root`, are followed.

    Raises
    ------
    DatasetError
        `root` is not a folder, cannot be read, holds no videos, or none where the manifest expects them.
    ConfigError
        `splits_dir` makes no sense for this manifest.
    """
    root = Path(root)
    mode = file_mode(root)
    if not stat.S_ISDIR(mode):
        found = "a file" if mode else "nothing"
        raise DatasetError(f"expected the folder of {manifest.name} at {root}, found {found}. Check the root")
    contents = walk_folder(root, manifest.extensions, follow_links)
    if not contents.videos:
        raise DatasetError(
            f"expected videos ({', '.join(manifest.extensions)}) or folders of numbered pictures ("
            f"{', '.join(PICTURE_EXTENSIONS)}) under {root}, found "
            f"{count_extensions(contents.ignored)}. Check the root, the files' names, and the extensions in "
            f"the manifest{as_sentences(contents.notes)}"
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
    videos = read_paths(manifest.path, contents.videos, manifest.extensions)
    strangers = [path for path in contents.videos if path not in videos]
    if not videos:
        raise DatasetError(
            f"none of the {len(strangers)} videos in {root} lies where the manifest {manifest.name} says: "
            f"expected {manifest.path}, found for example {printable(strangers[0])}"
            f"{hint_root(manifest, root, strangers, alone=True)}{as_sentences(contents.notes)}"
        )
    videos = blank_replacements(manifest, videos)
    folders = list_folders(manifest, root, splits_dir)
    splits = read_splits(manifest, videos, folders)
    videos, splits, copies = take_one_file_each(manifest, videos, splits)
    here = {splits.class_of(path, parts) for path, parts in videos.items()}
    classes = order_classes(manifest, here, set(splits.classes.values()), folders)
    missing = read_paths(manifest.path, splits.missing, manifest.extensions)
    return Listing(
        manifest_name=manifest.name,
        root=root,
        videos=tuple(_record(path, parts, splits, classes) for path, parts in videos.items()),
        classes=classes.names,
        split_names=splits.names,
        split_source=splits.source,
        missing=tuple(_record(path, missing.get(path), splits, classes) for path in splits.missing),
        unlisted=tuple(path for path in videos if splits.names and not splits.of(path)),
        ignored=contents.ignored,
        extracted=contents.extracted,
        notes=(
            *contents.notes,
            *splits.notes,
            *note_lists(videos, splits),
            *copies,
            *classes.notes,
            *([] if splits.classes else note_split_folders(root, videos)),
            *([] if splits.classes else note_level(manifest, root, videos)),
            *_note_strangers(manifest, root, strangers),
            *_note_expected(manifest, len(videos), len(classes.names)),
        ),
    )


def _record(path: str, parts: PathParts | None, splits: Splits, classes: Classes) -> VideoRecord:
    # a class that is only in a list of missing videos has no number
    class_name, index = classes.find(splits.class_of(path, parts))
    return VideoRecord(path, class_name, index, splits.of(path), parts.group if parts else None)


def _note_strangers(manifest: Manifest, root: Path, strangers: Sequence[str]) -> list[str]:
    if not strangers:
        return []
    return [
        f"{len(strangers)} videos do not lie where the manifest {manifest.name} expects them and are left "
        f"out: {first_names(strangers)}{hint_root(manifest, root, strangers, alone=False)}"
    ]


def _note_expected(manifest: Manifest, videos: int, classes: int) -> list[str]:
    """Say where the counts are not those of the whole data set."""
    counts = (("videos", manifest.expected_videos, videos), ("classes", manifest.expected_classes, classes))
    return [
        f"the whole data set has {expected} {what}, here are {found}"
        for what, expected, found in counts
        if expected not in (None, found)
    ]
