"""Leakage between training and test shards: videos, groups and copies that both hold."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
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

    Either may hold digests (`name_digest`) in place of names, as weights folders do.
    """

    paths: frozenset[str]
    groups: frozenset[str]

    @classmethod
    def of(cls, videos: Iterable[Video]) -> VideoNames:
        """Collect the names of some videos."""
        listed = list(videos)
        groups = (f"{video.class_name} group {video.group}" for video in listed if video.group is not None)
        return cls(frozenset(video.path for video in listed), frozenset(groups))


def name_digest(name: str) -> str:
    """Return ``#`` and the first 16 hexadecimal digits of a name's SHA-256.

    Weights folders keep digests, not names, of training videos: they may be published where names should not.
    """
    return f"#{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def shared_names(train: VideoNames, test: VideoNames, kind_of_test: str = "test") -> list[str]:
    """Return one sentence about the videos, and one about the groups, that training and test share.

    `train` may hold digests.
    """
    train_groups = set(map(fold_name, train.groups))  # the spelling of a class may differ
    shared = {
        "videos": {name for name in test.paths if {name, name_digest(name)} & train.paths},
        "groups": {
            name for name in test.groups if {fold_name(name), name_digest(fold_name(name))} & train_groups
        },
    }
    return [
        f"{len(names)} {kind} are in the training and in the {kind_of_test} shards, such as {min(names)!r}"
        for kind, names in shared.items()
        if names
    ]


def find_shard_leaks(train: ShardSet, test: ShardSet, kind_of_test: str = "test") -> list[str]:
    """Find videos, groups and copies of videos that training and test shards share.

    Parameters
    ----------
    train, test
        Both sets.
    kind_of_test
        Name of the second in the sentences.

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
    the loss of storing them as JPEG, in the first clips of both that start at the same frame. A copy that was
    re-encoded or cut is not found, and none are found where the frames of the two sets have different sizes,
    which is one of the sentences. `mas-labels list` compares the files themselves.
    """
    leaks = shared_names(VideoNames.of(train.videos), VideoNames.of(test.videos), kind_of_test)
    sizes = [f"{part.geometry.frame_rows} x {part.geometry.frame_cols}" for part in (train, test)]
    if sizes[0] != sizes[1]:
        return [*leaks, f"copies of training videos were not searched for: frames of {' and '.join(sizes)}"]
    copies = [f"{ours.path!r} = {theirs.path!r}" for ours, theirs in _find_copies(train, test)]
    if copies:
        number = f"{len(copies)} {kind_of_test} videos"
        leaks.append(f"{number} are copies of training videos, such as {min(copies)}")
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
            has_same_rate = other.fps == video.fps
            if other.path == video.path or (has_same_rate and other.frames != video.frames):
                continue
            pair = _frames_by_start(train, other_clip), _frames_by_start(test, first_clip)
            if has_same_rate:
                is_copy = _look_alike(*pair, min(pair[0].keys() & pair[1].keys(), default=0), frames)
            else:
                is_copy = _look_alike(*pair, 0, 1)  # later frames are of other moments
            if is_copy:
                yield video, other
                break


FramesByStart = dict[int, Callable[[], NDArray[np.uint8]]]
"""For each first frame of a video's clips a function that reads the clip's frames."""


def _frames_by_start(shards: ShardSet, clip: int) -> FramesByStart:
    """Return the clips of a clip's video, also those that filters have left out."""
    shard, row = shards.locate(clip)
    of_clip, starts = shard.read("clips/video"), shard.read("clips/start_frame")
    rows = np.flatnonzero(of_clip == of_clip[row]).tolist()
    return {int(starts[each]): partial(shard.read_frames, each) for each in rows}


def _first_clips(shards: ShardSet) -> Iterator[tuple[Video, int]]:
    """Yield each video with the number of its first clip."""
    numbers, first = np.unique(shards.clip_videos(), return_index=True)
    videos = shards.videos
    for number, clip in zip(numbers.tolist(), first.tolist(), strict=True):
        yield videos[number], clip


def _copy_key(video: Video) -> tuple[int, ...]:
    """Return values that are equal for copies and rarely otherwise; only then are frames compared."""
    return video.file_bytes, video.rows, video.cols


def _look_alike(train: FramesByStart, test: FramesByStart, start: int, frames: int) -> bool:
    """Compare the first frames of the two clips from a frame on by the mean brightness of their blocks."""
    if start not in train or start not in test:
        return False
    difference = _block_means(train[start]()[:frames]) - _block_means(test[start]()[:frames])
    return bool(np.abs(difference).max() <= MAX_DIFFERENCE)


def _block_means(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean brightness of each whole block of frames: (16, 16, 21) float32 of 16 of 128 x 171."""
    rows, cols = (size // BLOCK_PIXELS for size in frames.shape[1:3])
    whole = frames[:, : rows * BLOCK_PIXELS, : cols * BLOCK_PIXELS] @ LUMA
    return whole.reshape(len(frames), rows, BLOCK_PIXELS, cols, BLOCK_PIXELS).mean(axis=(2, 4))
