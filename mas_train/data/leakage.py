"""Leaks: what shards to learn from and shards to be tested on both hold and must not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.schema import CLIP_FRAMES, FRAME_COLS, FRAME_ROWS
from mas_labels.shards import ShardSet, Video, fold_name

BLOCK_PIXELS: Final = 8
"""Side of the blocks whose mean brightness is compared, in pixels: JPEG keeps it, whatever else it loses."""
MAX_DIFFERENCE: Final = 4.0
"""Between the block means of one video stored twice, of 255. Raw and JPEG of quality 90 differ by 1.9 at most
(629 clips of UCF101), neighbouring clips by 112 (median)."""
LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class VideoNames:
    """By what videos are known again: a fine-tuned model keeps it of those it learnt from.

    Attributes
    ----------
    paths
        Relative to the data set's root.
    groups
        As ``"class group 07"``: their numbers count within a class only.
    """

    paths: frozenset[str]
    groups: frozenset[str]

    @classmethod
    def of(cls, videos: Iterable[Video]) -> VideoNames:
        """Take them from tables of shards."""
        known = list(videos)
        groups = (f"{video.class_name} group {video.group}" for video in known if video.group is not None)
        return cls(frozenset(video.path for video in known), frozenset(groups))


def shared_names(train: VideoNames, test: VideoNames) -> list[str]:
    """Say which videos and groups of the test were learnt from, a sentence a kind."""
    learnt = set(map(fold_name, train.groups))  # classes may be spelled in two ways
    shared = {
        "videos": train.paths & test.paths,
        "groups": {name for name in test.groups if fold_name(name) in learnt},
    }
    return [
        f"{len(names)} {what} are in the training and in the test shards, such as {min(names)!r}"
        for what, names in shared.items()
        if names
    ]


def find_shard_leaks(train: ShardSet, test: ShardSet) -> list[str]:
    """Say what training and test shards share: videos, groups within a class, and contents.

    Returns
    -------
    A sentence a kind; none if all is well.

    Raises
    ------
    ShardError
        If a shard is damaged.

    Notes
    -----
    Videos of other names have equal contents if their files are of equal size and decode to frames that are
    equal up to what storing them loses. A copy that was coded anew, or cut, is not found. `mas-labels list`
    compares the files themselves.
    """
    leaks = shared_names(VideoNames.of(train.videos), VideoNames.of(test.videos))
    copies = [f"{ours.path!r} = {theirs.path!r}" for ours, theirs in _copies(train, test)]
    if copies:
        leaks.append(f"{len(copies)} test videos are copies of training videos, such as {min(copies)}")
    return leaks


def _copies(train: ShardSet, test: ShardSet) -> Iterator[tuple[Video, Video]]:
    """Yield each test video with a training video of another name and equal content."""
    known: dict[tuple[int, ...], list[tuple[Video, int]]] = defaultdict(list)
    for video, first_clip in _first_clips(train):
        known[_measures(video)].append((video, first_clip))
    for video, first_clip in _first_clips(test):
        for other, other_clip in known.get(_measures(video), []):
            compared = 1 if other.fps != video.fps else CLIP_FRAMES  # of two rates: the first frame only
            if other.path == video.path or (compared > 1 and other.frames != video.frames):
                continue
            if _look_alike(train, other_clip, test, first_clip, compared):
                yield video, other
                break


def _first_clips(shards: ShardSet) -> Iterator[tuple[Video, int]]:
    """Yield each video with the number of its first clip, which begins with its first frame."""
    numbers, first = np.unique(shards.clip_videos(), return_index=True)
    videos = shards.videos
    for number, clip in zip(numbers.tolist(), first.tolist(), strict=True):
        yield videos[number], clip


def _measures(video: Video) -> tuple[int, ...]:
    """What is equal for copies, and hardly ever else: only such videos' frames are read."""
    return video.file_bytes, video.rows, video.cols


def _look_alike(train: ShardSet, train_clip: int, test: ShardSet, test_clip: int, frames: int) -> bool:
    difference = _block_means(train.read_frames(train_clip)) - _block_means(test.read_frames(test_clip))
    difference = difference[:frames]
    return bool(np.abs(difference).max() <= MAX_DIFFERENCE)


def _block_means(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean brightness of the whole blocks of a clip: (16, 16, 21) float32."""
    rows, cols = FRAME_ROWS // BLOCK_PIXELS, FRAME_COLS // BLOCK_PIXELS
    whole = frames[:, : rows * BLOCK_PIXELS, : cols * BLOCK_PIXELS] @ LUMA
    return whole.reshape(CLIP_FRAMES, rows, BLOCK_PIXELS, cols, BLOCK_PIXELS).mean(axis=(2, 4))
