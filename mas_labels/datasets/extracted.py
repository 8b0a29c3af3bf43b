"""Finds videos that were extracted to frames: folders or archives of numbered pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mas_labels.video.frame_names import FLOW_FOLDER, is_archive_name


def find_extracted(root: Path, files: Iterable[str], pictures: Counter[str]) -> list[str]:
    """Return the folders or archives of frames in a data set without video files, but not those of flow.

    Parameters
    ----------
    root
        The data set's folder.
    files
        Paths of its files, other than numbered pictures.
    pictures
        Number of numbered pictures by folder; a folder ends in ``/``, the root is the empty string.
    """
    if folders := [folder[:-1] for folder in pictures if folder]:
        return [folder for folder in folders if not _holds_flow(folder)] or folders
    from mas_labels.video.pictures import holds_frames

    archives = sorted(filter(is_archive_name, files))
    return archives if any(holds_frames(root / archive) for archive in archives) else []


def _holds_flow(folder: str) -> bool:
    """Return whether a folder of pictures holds flow, by its name or by that of a folder above it."""
    return any(FLOW_FOLDER.fullmatch(part) for part in folder.split("/"))


def note_pictures(pictures: Counter[str], videos: int, extracted: int) -> list[str]:
    """Return sentences on how numbered pictures were treated.

    Parameters
    ----------
    pictures
        As in `find_extracted`.
    videos, extracted
        Number of video files, and of videos extracted to frames.
    """
    if videos and pictures:
        return [
            f"{pictures.total()} numbered pictures in {len(pictures)} folders are not read as frames: "
            "there are video files too; frames need another root"
        ]
    notes = []
    if extracted:
        kind = "folders" if pictures.total() > pictures[""] else "archives"
        notes.append(f"no video files: {extracted} {kind} of numbered pictures are read as one video each")
    if pictures[""]:
        notes.append(
            f"{pictures['']} numbered pictures are directly in the root and not used: if they are a video, "
            "give the folder above as the root"
        )
    return notes
