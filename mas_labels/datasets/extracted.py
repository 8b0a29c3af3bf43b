"""Videos extracted to frames, found among the files of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mas_labels.video.frame_names import FLOW_FOLDER, is_archive_name


def find_extracted(root: Path, files: Iterable[str], pictures: Counter[str]) -> list[str]:
    """Return the videos of a data set without video files; folders of flow beside those of frames are none.

    Parameters
    ----------
    root
        The data set's folder.
    files
        Paths of its files, without numbered pictures.
    pictures
        Number of numbered pictures by their folder, which ends in ``/``; the root is empty.
    """
    if folders := [folder[:-1] for folder in pictures if folder]:
        return [folder for folder in folders if not _is_of_flow(folder)] or folders
    from mas_labels.video.pictures import holds_frames

    archives = sorted(filter(is_archive_name, files))
    return archives if any(holds_frames(root / archive) for archive in archives) else []


def _is_of_flow(folder: str) -> bool:
    """Return whether a folder of pictures holds flow, by its name or by that of a folder it lies in."""
    return any(FLOW_FOLDER.fullmatch(part) for part in folder.split("/"))


def note_pictures(pictures: Counter[str], videos: int, extracted: int) -> list[str]:
    """Say what numbered pictures were taken for; `videos` and `extracted` are the numbers of either kind."""
    if videos and pictures:
        return [
            f"{pictures.total()} numbered pictures in {len(pictures)} folders are not taken for frames: "
            "there are video files, and frames need a root of their own"
        ]
    notes = []
    if extracted:
        what = "folders" if pictures.total() > pictures[""] else "archives"
        notes.append(f"no video files: {extracted} {what} of numbered pictures are taken for one video each")
    if pictures[""]:
        notes.append(
            f"{pictures['']} numbered pictures lie in the root itself and are not used: if they are a video, "
            "the root is the folder above"
        )
    return notes
