"""Makes the demo data set: 40 short synthetic videos of eight motions, with known ground truth.

In each video a textured shape moves over a textured background that pans. The class is the motion of the
shape: it moves right, left, up or down, turns to the left or right, grows or shrinks. The pan is random for
each video and independent of the class. Half of the videos are Motion JPEG in .avi, half MPEG-4 in .mp4,
written by OpenCV, so that the real decoder is exercised.

::

    <root>/train/<class>/<class>_<n>.avi|mp4     4 per class
    <root>/test/<class>/<class>_<n>.avi|mp4      1 per class
    <root>/ground_truth.csv                      the motion in each video; written last
"""

from __future__ import annotations

import csv
import io
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mas_labels.datasets.folder import GROUND_TRUTH_NAME
from mas_labels.errors import DatasetError, MissingDependencyError, VideoError, reason_of
from mas_labels.system.files import atomic_path, write_text
from mas_labels.video.video_file import VideoReader

FRAMES: Final = 36
ROWS: Final = 192
COLS: Final = 256
TRAIN_VIDEOS: Final = 4
TEST_VIDEOS: Final = 1

CODECS: Final = ((".avi", "MJPG"), (".mp4", "mp4v"))
PAN: Final = (0.5, 1.5)
"""Slowest and fastest pan of the background, pixels per frame."""

MOTIONS: Final[dict[str, tuple[float, float, float, float]]] = {
    # class: u, v (pixels per frame), turn (degrees per frame, counter-clockwise), scale (factor per frame)
    "move_right": (2.5, 0.0, 0.0, 1.0),
    "move_left": (-2.5, 0.0, 0.0, 1.0),
    "move_up": (0.0, -2.0, 0.0, 1.0),
    "move_down": (0.0, 2.0, 0.0, 1.0),
    "turn_left": (0.0, 0.0, 4.0, 1.0),
    "turn_right": (0.0, 0.0, -4.0, 1.0),
    "grow": (0.0, 0.0, 0.0, 1.02),
    "shrink": (0.0, 0.0, 0.0, 1 / 1.02),
}
"""The eight classes: motion of the shape, in the frame's coordinates."""


@dataclass(frozen=True)
class DemoVideo:
    """The ground truth of one demo video; one row of ``ground_truth.csv``.

    Attributes
    ----------
    path
        Relative to the root, `/` between folders.
    background_u, background_v
        Motion of the background's content, pixels per frame.
    foreground_u, foreground_v
        Motion of the shape's centre, pixels per frame.
    turn_degrees
        Rotation of the shape about its centre, degrees per frame, counter-clockwise as seen on the screen.
    scale
        Factor by which the shape grows from frame to frame.
    start_row, start_col
        The shape's centre in frame 0.
    start_radius
        Half the width of the shape in frame 0, pixels.
    seed
        Seed of the textures.
    """

    path: str
    background_u: float
    background_v: float
    foreground_u: float
    foreground_v: float
    turn_degrees: float
    scale: float
    start_row: float
    start_col: float
    start_radius: float
    seed: int

    def centre(self, frame: int) -> tuple[float, float]:
        """Return the row and column of the shape's centre in a frame."""
        return self.start_row + frame * self.foreground_v, self.start_col + frame * self.foreground_u


def make_demo(root: Path) -> None:
    """Make the demo data set, unless it is complete.

    Videos are written atomically and the ground truth last, so that a killed run can be repeated.

    Parameters
    ----------
    root
        The folder; it may exist.

    Raises
    ------
    DatasetError
        The folder cannot be written, or a video cannot be read back.
    MissingDependencyError
        This OpenCV lacks the encoders.
    """
    root = Path(root)
    plan = demo_videos()
    table = _ground_truth(plan)
    ground_truth = root / GROUND_TRUTH_NAME
    try:
        if (
            ground_truth.is_file()
            and ground_truth.read_bytes() == table.encode()
            and all((root / v.path).is_file() for v in plan)
        ):
            return
        ground_truth.unlink(missing_ok=True)
        for video in plan:
            _write_video(root / video.path, render(video))
        write_text(ground_truth, table)
    except OSError as error:
        raise DatasetError(
            f"cannot make the demo data set in {root}: {reason_of(error)}. Give a writable folder"
        ) from error


def demo_videos() -> tuple[DemoVideo, ...]:
    """Return the videos of the demo data set."""
    return tuple(
        _draw_video(class_index, name, number)
        for class_index, name in enumerate(MOTIONS)
        for number in range(TRAIN_VIDEOS + TEST_VIDEOS)
    )


def _draw_video(class_index: int, name: str, number: int) -> DemoVideo:
    """Draw the random pan, position and size for one video of a class."""
    seed = 1000 * class_index + number
    rng = np.random.default_rng(seed)
    u, v, turn, scale = MOTIONS[name]
    split = "train" if number < TRAIN_VIDEOS else "test"
    extension, _ = CODECS[(class_index + number) % len(CODECS)]
    speed, angle = rng.uniform(*PAN), rng.uniform(0, 2 * np.pi)
    half = (FRAMES - 1) / 2  # in the middle of the video the shape is near the middle of the frame
    row, col = np.array([ROWS / 2 - half * v, COLS / 2 - half * u]) + rng.integers(-12, 13, 2)
    radius = float(rng.integers(34, 43)) * scale**-half
    return DemoVideo(
        path=f"{split}/{name}/{name}_{number}{extension}",
        background_u=round(speed * np.cos(angle), 2),
        background_v=round(speed * np.sin(angle), 2),
        foreground_u=u,
        foreground_v=v,
        turn_degrees=turn,
        scale=scale,
        start_row=float(row),
        start_col=float(col),
        start_radius=round(radius, 3),
        seed=seed,
    )


def render(video: DemoVideo) -> NDArray[np.uint8]:
    """Return the frames of a demo video before coding, (FRAMES, ROWS, COLS, 3) uint8 RGB."""
    rng = np.random.default_rng(video.seed + 1_000_000)
    margin = int(np.ceil(PAN[1] * FRAMES))
    background = _texture(rng, ROWS + 2 * margin, COLS + 2 * margin, contrast=34.0)
    side = 128
    shape = np.dstack(
        [_texture(rng, side, side, contrast=60.0), _outline(side, round_shape=video.seed % 2 == 0)]
    )
    frames = np.empty((FRAMES, ROWS, COLS, 3), np.uint8)
    for index in range(FRAMES):
        back = _shifted(background, index * video.background_u, index * video.background_v)
        fore = _placed(shape, video, index)
        opacity = fore[..., 3:]
        frames[index] = np.clip(np.rint(back * (1 - opacity) + fore[..., :3] * opacity), 0, 255)
    return frames


def _texture(rng: np.random.Generator, rows: int, cols: int, contrast: float) -> NDArray[np.float32]:
    """Return noise of three grain sizes around a random colour, (rows, cols, 3) float32."""
    texture = np.zeros((rows, cols, 3), np.float32)
    for grain, weight in ((5, 0.6), (14, 1.0), (40, 1.0)):
        noise = rng.standard_normal((rows // grain + 2, cols // grain + 2, 3)).astype(np.float32)
        texture += weight * cv2.resize(noise, (cols, rows), interpolation=cv2.INTER_CUBIC)
    return texture * contrast / texture.std() + rng.uniform(50, 205, 3).astype(np.float32)


def _outline(side: int, round_shape: bool) -> NDArray[np.float32]:
    """Return the opacity of a disc or square that fills (side, side), with a soft edge of two pixels."""
    rows, cols = np.mgrid[:side, :side] - (side - 1) / 2
    distance = np.hypot(rows, cols) if round_shape else np.maximum(abs(rows), abs(cols))
    return np.clip((side / 2 - 2 - distance) / 2, 0, 1).astype(np.float32)


def _shifted(canvas: NDArray[np.float32], u: float, v: float) -> NDArray[np.float32]:
    """Return the centre (ROWS, COLS) of a canvas after its content has moved by (u, v) pixels."""
    rows, cols = canvas.shape[:2]
    middle = ((cols - 1) / 2 - u, (rows - 1) / 2 - v)
    return cv2.getRectSubPix(canvas, (COLS, ROWS), middle).astype(np.float32, copy=False)


def _placed(shape: NDArray[np.float32], video: DemoVideo, frame: int) -> NDArray[np.float32]:
    """Return the shape, as colours and opacity, at its position in a frame, (ROWS, COLS, 4)."""
    side = shape.shape[0]
    zoom = 2 * video.start_radius * video.scale**frame / side
    middle = (side - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), video.turn_degrees * frame, zoom)
    row, col = video.centre(frame)
    turn[:, 2] += col - middle, row - middle
    placed = cv2.warpAffine(shape, turn, (COLS, ROWS), flags=cv2.INTER_LINEAR)
    return placed.astype(np.float32, copy=False)


def _write_video(path: Path, frames: NDArray[np.uint8]) -> None:
    """Write a video atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as hidden:
        _encode(hidden, frames)


def _encode(path: Path, frames: NDArray[np.uint8]) -> None:
    """Encode a video with OpenCV and check that all frames can be read back."""
    code = dict(CODECS)[path.suffix]
    writer = cv2.VideoWriter(os.fspath(path), cv2.VideoWriter.fourcc(*code), 25.0, (COLS, ROWS))
    if not writer.isOpened():
        path.touch()  # raises the error of the file system, if that is the reason
        raise MissingDependencyError(
            f"expected an OpenCV that encodes {code}, found {cv2.__version__}, which does not. "
            f"Install opencv-contrib-python"
        )
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    # OpenCV reports neither a full disk nor a failed encoder:
    if _count_frames(path) != FRAMES:
        raise DatasetError(f"expected {FRAMES} frames in {path}, found fewer. Is the disk full?")


def _count_frames(path: Path) -> int:
    """Return the number of frames of a video; 0 if it cannot be decoded."""
    try:
        return sum(1 for _ in VideoReader(path))
    except VideoError:
        return 0


def _ground_truth(videos: tuple[DemoVideo, ...]) -> str:
    """Return the ground truth of the videos as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(DemoVideo)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(video) for video in videos)
    return text.getvalue()
