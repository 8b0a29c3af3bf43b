"""Videos named on a command line: files, folders, lists of paths, or a manifest."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.folder import file_mode, names_in, walk_folder
from mas_labels.datasets.listing import as_sentences, count_extensions, listing_notes, unpack_hint
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import ConfigError, DatasetError
from mas_labels.names import VIDEO_EXTENSIONS, printable
from mas_labels.stream.lists import LIST_EXTENSIONS, folder_classes, listed_classes, read_list
from mas_labels.video.frame_names import is_frame_name


@dataclass
class VideoInputs:
    """The videos that a command line names.

    Attributes
    ----------
    videos
        Name of each video, `/` between folders, from which its place in an output follows -> its path.
    classes
        Name of each video whose class is known -> its class: that of a manifest or of a list
        (`mas_labels.stream.lists.listed_classes`), else its first folder below the folder that was given, or
        the first of its name; folders that are called as splits are passed over.
    notes
        Lines for the user on what was left out.
    is_single
        Whether one video was given by its own path.
    has_extracted
        Whether some of the videos are extracted frames.
    """

    videos: dict[str, Path] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    is_single: bool = False
    has_extracted: bool = False

    def add(self, videos: Mapping[str, Path], classes: Mapping[str, str]) -> None:
        """Add videos by name, and the classes of those whose class is known; a file twice counts once.

        Raises
        ------
        DatasetError
            If two files have one name.
        """
        self.classes |= classes
        for name, path in videos.items():
            other = self.videos.setdefault(name, path)
            if other is not path and other.resolve() != path.resolve():
                raise DatasetError(
                    f"{printable(str(other))} and {printable(str(path))}: both would have the name "
                    f"{printable(name)}: give --root, a folder that contains both, from which names begin"
                )

    def require_times(self, fps: object) -> None:
        """Raise `ConfigError` if a frame rate is asked for, and some videos have no time stamps."""
        if fps and self.has_extracted:
            raise ConfigError("--fps: extracted frames have no time stamps: give the videos, or leave it out")


def find_inputs(
    paths: str | Path | Sequence[str | Path],
    manifest: str | Path | None = None,
    root: str | Path | None = None,
    split: str = "all",
    splits_dir: str | Path | None = None,
    follow_links: bool = False,
) -> VideoInputs:
    """Find the videos that a command line names: by paths, or by a manifest.

    Parameters
    ----------
    paths
        Video files and folders or archives of frames; folders, which are searched; lists of paths (``.txt``,
        ``.csv``: `mas_labels.stream.lists.read_list`). One of them, or several.
    manifest
        Data set instead of paths: a manifest's file or name.
    root
        The data set's folder. For paths, the folder that the names of the videos begin from, and the paths in
        lists; None: each folder, or the folder of each file or list.
    split
        Name of the split of the manifest.
    splits_dir
        Folder of the manifest's list files; None: they are searched for.
    follow_links
        See `mas_labels.datasets.folder.walk_folder`.

    Raises
    ------
    ConfigError
        If there are both paths and a manifest, or neither; or an option is missing or belongs to the other;
        as `mas_labels.datasets.find_videos.find_videos` and `Listing.select` raise it.
    DatasetError
        If there is nothing at a path, no video in a folder, or a list has missing files; if two videos
        have one name; or as `find_videos` and `Listing.select` raise it.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    if problem := wrong_choice(paths, manifest, root, split, splits_dir):
        raise ConfigError(problem)
    root = None if root is None else Path(root)
    if manifest is None or root is None:
        return _find_paths([Path(path) for path in paths], root, follow_links)
    listing = find_videos(load_manifest(manifest), root, splits_dir, follow_links)
    records = listing.select(split)
    return VideoInputs(
        {video.path: root / video.path for video in records},
        {video.path: video.class_name for video in records if video.class_name is not None},
        listing_notes(listing),
        has_extracted=listing.extracted,
    )


def wrong_choice(
    paths: Sequence[str | Path],
    manifest: str | Path | None,
    root: str | Path | None,
    split: str,
    splits_dir: str | Path | None,
) -> str | None:
    """Return why arguments of `find_inputs` do not go together; None if they do."""
    if (manifest is None) == (not paths):
        found = "both: leave one out" if paths else "neither: give one"
        return f"expected PATHS or --manifest, found {found}"
    if manifest is None and (split != "all" or splits_dir):
        return "--split and --splits belong to --manifest"
    if manifest is not None and root is None:
        return "--manifest needs --root, the data set's folder"
    return None


def _find_paths(paths: Sequence[Path], root: Path | None, follow_links: bool) -> VideoInputs:
    """Find the videos that paths mean."""
    inputs = VideoInputs()
    for path in paths:
        mode = file_mode(path)
        if not mode:
            raise DatasetError(
                f"expected a video, a folder or a list at {path}, found nothing. Check the path"
            )
        if stat.S_ISDIR(mode):
            inputs.is_single = not _add_folder(inputs, path, root, follow_links)
        elif path.suffix.lower() in LIST_EXTENSIONS:
            _add_list(inputs, path, path.parent if root is None else root)
        else:
            inputs.is_single = True
            name = _name_below(path.parent if root is None else root, path)
            inputs.add({name: path}, folder_classes({name: name}))
    inputs.is_single &= len(paths) == 1
    return inputs


def _add_folder(inputs: VideoInputs, folder: Path, root: Path | None, follow_links: bool) -> bool:
    """Add the videos of a folder, or the folder itself if it holds the frames of one video.

    Returns
    -------
    bool
        True if videos were found in it.
    """
    contents = walk_folder(folder, VIDEO_EXTENSIONS, follow_links)
    if contents.videos:
        inputs.has_extracted |= contents.extracted
        inputs.notes += [f"note: {note}" for note in contents.notes]
        if contents.ignored:
            inputs.notes.append(f"ignored, not videos by their names: {count_extensions(contents.ignored)}")
        start = folder if root is None else root
        found = {_name_below(start, folder / video) if root else video: video for video in contents.videos}
        classes = folder_classes(found) or folder_classes({name: name for name in found})
        inputs.add({name: folder / video for name, video in found.items()}, classes)
    elif any(map(is_frame_name, names_in(folder))):
        inputs.has_extracted = True
        name = _name_below(folder.absolute().parent if root is None else root, folder)
        inputs.add({name: folder}, folder_classes({name: name}))
    else:
        raise DatasetError(
            f"expected videos or numbered pictures in {folder}, found {count_extensions(contents.ignored)}. "
            f"Check the path{unpack_hint(contents.ignored)}{as_sentences(contents.notes)}"
        )
    return bool(contents.videos)


def _add_list(inputs: VideoInputs, path: Path, root: Path) -> None:
    """Add the videos that a list names."""
    listed = [(_name_below(root, video.path), video) for video in read_list(path, root)]
    for name, video in listed:
        inputs.add({name: video.path}, {})
    inputs.classes |= listed_classes({name: video.stated for name, video in listed})


def _name_below(root: Path, path: Path) -> str:
    """Return the path of a video from `root` on; raise `DatasetError` if it is not in there."""
    name = os.path.relpath(path, root)
    if name == ".." or name.startswith("../"):
        raise DatasetError(
            f"{printable(str(path))} is not in {root}, from which the names of the output begin: give "
            "--root, a folder that contains all videos"
        )
    return name
