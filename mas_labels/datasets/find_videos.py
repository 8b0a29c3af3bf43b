"""Finds the videos of a data set by its manifest, each with its class, splits and group."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from mas_labels.datasets.classes import Classes, order_classes
from mas_labels.datasets.duplicates import clear_replacements, drop_duplicates
from mas_labels.datasets.folder import FolderContents, file_mode, walk_folder
from mas_labels.datasets.layout_hints import note_level, note_lists, note_split_folders, suggest_root
from mas_labels.datasets.listing import Listing, VideoRecord, as_sentences, count_extensions, unpack_hint
from mas_labels.datasets.manifest import Manifest
from mas_labels.datasets.path_match import PathParts, read_paths
from mas_labels.datasets.split_table import Splits
from mas_labels.datasets.splits import list_folders, read_splits
from mas_labels.errors import DatasetError
from mas_labels.names import first_names, printable
from mas_labels.system.path_kinds import tell_found
from mas_labels.video.frame_names import PICTURE_EXTENSIONS


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
        Folder of list files; without it they are searched for in and next to `root`.
    follow_links
        Whether to follow symbolic links to folders, and to files outside of `root`.

    Raises
    ------
    DatasetError
        `root` is not a folder, cannot be read, or has no videos that match the manifest.
    ConfigError
        `splits_dir` is given, but the manifest reads no list files.
    """
    root = Path(root)
    mode = file_mode(root)
    if not stat.S_ISDIR(mode):
        raise DatasetError(f"expected a folder of videos at {root}, {tell_found(root, 'videos')} (--root)")
    contents = walk_folder(root, manifest.extensions, follow_links)
    if not contents.videos:
        raise DatasetError(
            f"expected videos ({', '.join(manifest.extensions)}) or folders of numbered pictures ("
            f"{', '.join(PICTURE_EXTENSIONS)}) under {root}, found "
            f"{count_extensions(contents.ignored)}. Check the root, the files' names, and the extensions in "
            f"the manifest{unpack_hint(contents.ignored)}{as_sentences(contents.notes)}"
        )
    return list_videos(manifest, contents, root, None if splits_dir is None else Path(splits_dir))


def list_videos(
    manifest: Manifest, contents: FolderContents, root: Path, splits_dir: Path | None = None
) -> Listing:
    """Assign classes, splits and groups to the videos of a folder; no video file is opened.

    Raises
    ------
    DatasetError, ConfigError
        As `find_videos`.
    """
    videos = read_paths(manifest.path, contents.videos, manifest.extensions)
    unmatched = [path for path in contents.videos if path not in videos]
    if not videos:
        raise DatasetError(
            f"none of the {len(unmatched)} videos in {root} matches the path in the manifest "
            f"{manifest.name}: expected {manifest.path}, found for example {printable(unmatched[0])}"
            f"{suggest_root(manifest, root, unmatched, none_match=True)}{as_sentences(contents.notes)}"
        )
    videos = clear_replacements(manifest, videos)
    folders = list_folders(manifest, root, splits_dir)
    splits = read_splits(manifest, videos, folders)
    videos, splits, duplicates = drop_duplicates(manifest, videos, splits)
    on_disk = {splits.class_of(path, parts) for path, parts in videos.items()}
    classes = order_classes(manifest, on_disk, set(splits.classes.values()), folders)
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
            *duplicates,
            *classes.notes,
            *([] if splits.classes else note_split_folders(root, videos)),
            *([] if splits.classes else note_level(manifest, root, videos)),
            *_note_unmatched(manifest, root, unmatched),
            *_note_expected(manifest, len(videos), len(classes.names)),
        ),
    )


def _record(path: str, parts: PathParts | None, splits: Splits, classes: Classes) -> VideoRecord:
    # a class that only missing videos have is not numbered
    class_name, index = classes.find(splits.class_of(path, parts))
    return VideoRecord(path, class_name, index, splits.of(path), parts.group if parts else None)


def _note_unmatched(manifest: Manifest, root: Path, unmatched: Sequence[str]) -> list[str]:
    """Return a sentence on the videos that the manifest does not match, if any."""
    if not unmatched:
        return []
    return [
        f"{len(unmatched)} videos do not match the path in the manifest {manifest.name} and are left out: "
        f"{first_names(unmatched)}{suggest_root(manifest, root, unmatched, none_match=False)}"
    ]


def _note_expected(manifest: Manifest, videos: int, classes: int) -> list[str]:
    """Return sentences on counts that differ from those of the whole data set."""
    counts = (("videos", manifest.expected_videos, videos), ("classes", manifest.expected_classes, classes))
    return [
        f"the whole data set has {expected} {kind}, found {found}"
        for kind, expected, found in counts
        if expected not in (None, found)
    ]
