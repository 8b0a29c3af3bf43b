"""Clips made of real ones: with a cut, and with what resembles one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Clip = NDArray[np.uint8]
FRAMES = 16
LATER_CLIPS = 7
"""A clip from another time of the video begins at least as many clips later."""
FLASH_LEVELS = 100


def made_up_clips(clips: list[Clip], other: Clip, rng: np.random.Generator) -> Iterator[tuple[str, Clip]]:
    """Yield clips that are made of a random one of a video's `clips`, with the name of their kind.

    `other` is a clip of another video.
    """
    number = int(rng.integers(len(clips)))
    clip, at = clips[number], int(rng.integers(1, FRAMES))
    yield "joined to another video", np.concatenate([clip[:at], other[at:]])
    if len(clips) > LATER_CLIPS:
        first, later = clips[0], clips[int(rng.integers(LATER_CLIPS, len(clips)))]
        yield "joined to another time of the video", np.concatenate([first[:at], later[at:]])
    yield "cut to black", np.concatenate([clip[:at], np.zeros_like(clip[at:])])
    length = int(rng.integers(1, 4))
    yield "flash of 1 to 3 frames", flash(clip, int(rng.integers(1, FRAMES - length)), length)
    yield "flash of 1 to 3 frames at the end", flash(clip, FRAMES - length, length)
    for frames in (2, 4, 8, FRAMES):
        share = np.clip((np.arange(FRAMES) + 1) / frames - (FRAMES - frames) // 2 / frames, 0, 1)
        yield f"dissolve over {frames} frames", mix(clip, other, share)
    for frames in (4, 8, FRAMES):
        share = np.clip((np.arange(FRAMES) + 1) / frames - (FRAMES - frames) // 2 / frames, 0, 1)
        yield f"fade to black over {frames} frames", mix(clip, np.zeros_like(clip), share)
    for pixels in (8, 16, 24, 32):
        yield f"pan by {pixels} pixels a frame", pan(clip[0], pixels)


def flash(clip: Clip, start: int, length: int) -> Clip:
    """Return a clip of which some frames are brighter, up to white."""
    levels = clip.astype(np.int16)
    levels[start : start + length] += FLASH_LEVELS
    return levels.clip(0, 255).astype(np.uint8)


def mix(first: Clip, second: Clip, share: NDArray[np.float64]) -> Clip:
    """Return frames of which the second clip has a share each."""
    weights = share[:, None, None, None]
    return np.rint((1 - weights) * first + weights * second).astype(np.uint8)


def pan(frame: Clip, pixels: int) -> Clip:
    """Return a pan over a frame that is continued by mirror images."""
    wide = np.concatenate([frame, frame[:, ::-1]] * (2 + FRAMES * pixels // (2 * frame.shape[1])), axis=1)
    cols = frame.shape[1]
    return np.stack([wide[:, pixels * number : pixels * number + cols] for number in range(FRAMES)])
