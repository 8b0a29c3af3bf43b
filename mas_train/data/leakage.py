"""Leakage between training and test shards: videos, groups and copies that both hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.shards import ShardSet, Video, fold_name

BLOCK_PIXELS: Final = 8
"""Side of the blocks whose mean brightness is compared, in pixels; JPEG keeps these means."""
MAX_DIFFERENCE: Final = 4.0
"""Largest difference of block means (0 to 255) between two copies of a clip. Raw and JPEG frames of quality
90 differ by 1.9 at most (629 clips of UCF101), neighbouring clips by 112 (median)."""
LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of R, G and B in the brightness of a pixel (ITU-R BT.601)."""


@dataclass(frozen=True)
class VideoNames:
    """Paths and groups that identify videos; a fine-tuned model stores those of its training videos.

    Attributes
    ----------
    paths
        Relative to the data set's root.
    groups
        Class and group, as ``"class group 07"``: group numbers are unique within a class only.
    """

    paths: frozenset[str]
    groups: frozenset[str]

    @classmethod
    def of(cls, videos: Iterable[Video]) -> VideoNames:
        """Collect the names of some videos."""
        listed = list(videos)
        groups = (f"{video.class_name} group {video.group}" for video in listed if video.group is not None)
        return cls(frozenset(video.path for video in listed), frozenset(groups))


def shared_names(train: VideoNames, test: VideoNames) -> list[str]:
    """Return one sentence about the videos, and one about the groups, that training and test share."""
    train_groups = set(map(fold_name, train.groups))  # the spelling of a class may differ
    shared = {
        "videos": train.paths & test.paths,
        "groups": {name for name in test.groups if fold_name(name) in train_groups},
    }
    return [
        f"{len(names)} {kind} are in the training and in the test shards, such as {min(names)!r}"
        for kind, names in shared.items()
        if names
    ]


def find_shard_leaks(train: ShardSet, test: ShardSet) -> list[str]:
    """Find videos, groups and copies of videos that training and test shards share.

    Returns
    -------
    list of str
        One sentence per kind of leak; none if there is no leak.

    Raises
    ------
    ShardError
        If a shard is damaged.

    Notes
    -----
    Videos of different names are copies if their files have the same size and their frames are equal up to
    the loss of storing them as JPEG. A copy that was re-encoded or cut is not found, and none are found where
    the frames of the two sets have different sizes, which is one of the sentences. `mas-labels list` compares
    the files themselves.
    """
    leaks = shared_names(VideoNames.of(train.videos), VideoNames.of(test.videos))
    sizes = [f"{part.geometry.frame_rows} x {part.geometry.frame_cols}" for part in (train, test)]
    if sizes[0] != sizes[1]:
        return [*leaks, f"copies of training videos were not searched for: frames of {' and '.join(sizes)}"]
    copies = [f"{ours.path!r} = {theirs.path!r}" for ours, theirs in _find_copies(train, test)]
    if copies:
        leaks.append(f"{len(copies)} test videos are copies of training videos, such as {min(copies)}")
    return leaks


def _find_copies(train: ShardSet, test: ShardSet) -> Iterator[tuple[Video, Video]]:
    """Yield pairs of a training and a test video of another name with the same content."""
    ours, theirs = train.geometry, test.geometry
    frames = min(ours.clip_frames, theirs.clip_frames) if ours.frame_step == theirs.frame_step else 1
    candidates: dict[tuple[int, ...], list[tuple[Video, int]]] = defaultdict(list)
    for video, first_clip in _first_clips(train):
        candidates[_copy_key(video)].append((video, first_clip))
    for video, first_clip in _first_clips(test):
        for other, other_clip in candidates.get(_copy_key(video), []):
            compared = frames if other.fps == video.fps else 1  # rates differ: the first frame only
            if other.path == video.path or (compared > 1 and other.frames != video.frames):
                continue
            if _look_alike(train, other_clip, test, first_clip, compared):
                yield video, other
                break


def _first_clips(shards: ShardSet) -> Iterator[tuple[Video, int]]:
    """Yield each video with the number of its first clip, which starts at its first frame."""
    numbers, first = np.unique(shards.clip_videos(), return_index=True)
    videos = shards.videos
    for number, clip in zip(numbers.tolist(), first.tolist(), strict=True):
        yield videos[number], clip


def _copy_key(video: Video) -> tuple[int, ...]:
    """Return values that are equal for copies and rarely otherwise; only then are frames compared."""
    return video.file_bytes, video.rows, video.cols


def _look_alike(train: ShardSet, train_clip: int, test: ShardSet, test_clip: int, frames: int) -> bool:
    """Compare the first frames of two clips by the mean brightness of their blocks."""
    ours, theirs = (
        shards.read_frames(clip)[:frames] for shards, clip in ((train, train_clip), (test, test_clip))
    )
    difference = _block_means(ours) - _block_means(theirs)
    return bool(np.abs(difference).max() <= MAX_DIFFERENCE)


def _block_means(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean brightness of each whole block of frames: (16, 16, 21) float32 of 16 of 128 x 171."""
    rows, cols = (size // BLOCK_PIXELS for size in frames.shape[1:3])
    whole = frames[:, : rows * BLOCK_PIXELS, : cols * BLOCK_PIXELS] @ LUMA
    return whole.reshape(len(frames), rows, BLOCK_PIXELS, cols, BLOCK_PIXELS).mean(axis=(2, 4))
