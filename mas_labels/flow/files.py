"""Computes the optical flow of whole videos and writes it to files, for use without the labels.

Three formats: ``.npz`` and ``.h5`` store numbers; a folder gets the grey pictures that two-stream networks
read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ConfigError, InputError
from mas_labels.flow.estimators import ESTIMATORS
from mas_labels.flow.methods import check_method
from mas_labels.flow.options import FlowFileOptions
from mas_labels.system.files import sync, sync_folder
from mas_labels.video.clips import resize
from mas_labels.video.open_video import open_video

Flow = NDArray[np.float32]

FLOW_JPEG_QUALITY: Final = 95
FRAMES_PER_CALL: Final = 17
"""Frames whose flow is estimated in one call: memory stays small, and each pyramid is computed once."""


def video_flow(
    path: Path, method: str = "tvl1", size: tuple[int, int] | None = None, rate: Fraction | None = None
) -> Iterator[Flow]:
    """Estimate the flow between all consecutive frames of a video.

    Parameters
    ----------
    path
        The video file, or extracted frames.
    method
        See `mas_labels.compute_flow`.
    size
        (rows, cols) to which frames are resized first (`mas_labels.video.clips.resize`); None: not resized.
    rate
        Frames per second to convert to (`mas_labels.video.frame_rate`); None: all frames.

    Yields
    ------
    (H, W, 2) float32, (u, v) in pixels per frame; one field fewer than frames.

    Raises
    ------
    ConfigError
        The method is unknown.
    VideoError
        The video cannot be read.
    MissingDependencyError
        If the extension of ``"tvl1"`` was not built.
    """
    check_method(method)
    waiting: list[NDArray[np.uint8]] = []
    for frame in open_video(path, rate):
        small = frame if size is None else resize(frame, *size)
        waiting.append(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))
        if len(waiting) == FRAMES_PER_CALL:
            yield from ESTIMATORS[method](np.stack(waiting))
            waiting = waiting[-1:]
    if len(waiting) > 1:
        yield from ESTIMATORS[method](np.stack(waiting))


def flow_to_grey(flow: Flow, bound: float = FlowFileOptions.bound) -> NDArray[np.uint8]:
    """Map flow to 8-bit grey values: -bound to 0, no motion to 128 (127.5 rounded to even), bound to 255.

    Parameters
    ----------
    flow
        Any shape, pixels per frame.
    bound
        Larger motion is clipped, pixels per frame.
    """
    return np.rint((np.clip(flow, -bound, bound) + bound) * (255.0 / (2.0 * bound))).astype(np.uint8)


def write_flow(
    flow: Iterable[Flow],
    out: Path,
    *,
    dtype: str = FlowFileOptions.dtype,
    bound: float = FlowFileOptions.bound,
) -> int:
    """Write the flow fields of one video.

    Parameters
    ----------
    flow
        Fields (H, W, 2) float32, (u, v) in pixels per frame, all of one size; consumed one at a time.
    out
        ``*.npz`` (one array, ``flow``), ``*.h5`` (one data set, ``flow``, extended field by field), or a new
        folder, which gets ``flow_x_00001.jpg`` (u) and ``flow_y_00001.jpg`` (v), numbered from 1.
    dtype
        ``"float16"`` or ``"float32"``, for the first two. float16 rounds by up to 0.008 pixels at 20.
    bound
        For the pictures, see `flow_to_grey`; written to ``bound.txt`` in their folder.

    Returns
    -------
    The number of fields written.

    Raises
    ------
    ConfigError
        `dtype` or `bound` is invalid, or `out` has an unknown extension or exists.
    InputError
        There is no field, or they differ in shape.

    Notes
    -----
    The file or folder is written atomically: under another name next to `out`, and renamed when complete.
    """
    FlowFileOptions(dtype, bound)  # checks them
    _check_name(out)
    writer = WRITERS.get(out.suffix, _write_pictures)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        unfinished = Path(folder) / out.name
        count = writer(_checked(flow), unfinished, dtype, bound)
        if count == 0:
            raise InputError("flow: expected at least one field (two frames), found none")
        if (
            unfinished.is_file()
        ):  # not for pictures: syncing thousands takes long, and they are easily regenerated
            with unfinished.open("rb") as file:
                sync(file.fileno())
        unfinished.replace(out)
    sync_folder(out.parent)
    return count


def _check_name(out: Path) -> None:
    """Raise `ConfigError` unless `write_flow` can write to `out`."""
    if out.suffix not in (*WRITERS, ""):
        raise ConfigError(
            f"{out}: expected a name ending in {', '.join(WRITERS)}, or a folder without an extension"
        )
    if out.exists():
        raise ConfigError(f"{out} exists already: remove it or choose another name")


def _checked(fields: Iterable[Flow]) -> Iterator[Flow]:
    """Yield the fields; raise `InputError` for one of another shape."""
    shape: tuple[int, ...] | None = None
    for number, field in enumerate(fields):
        shape = field.shape if shape is None else shape
        if field.ndim != 3 or field.shape[2] != 2 or field.shape != shape:
            raise InputError(f"flow field {number}: expected shape {shape} ending in 2, found {field.shape}")
        yield field


def _write_npz(fields: Iterator[Flow], path: Path, dtype: str, bound: float) -> int:
    stored = [field.astype(dtype) for field in fields]
    if stored:
        np.savez_compressed(path, flow=np.stack(stored))
    return len(stored)


def _write_h5(fields: Iterator[Flow], path: Path, dtype: str, bound: float) -> int:
    count = 0
    with h5py.File(path, "w") as file:
        for count, field in enumerate(fields, 1):
            if count == 1:
                file.create_dataset(
                    "flow", (0, *field.shape), dtype, maxshape=(None, *field.shape), chunks=(1, *field.shape),
                    shuffle=True, compression="gzip", compression_opts=1, fletcher32=True, track_times=False,
                )  # fmt: skip
                file["flow"].attrs["unit"] = "pixels per frame: u along columns, v along rows"
            file["flow"].resize(count, axis=0)
            file["flow"][count - 1] = field
    return count


def _write_pictures(fields: Iterator[Flow], folder: Path, dtype: str, bound: float) -> int:
    folder.mkdir()
    count = 0
    for count, field in enumerate(fields, 1):
        for name, component in zip("xy", np.moveaxis(flow_to_grey(field, bound), -1, 0), strict=True):
            path = folder / f"flow_{name}_{count:05d}.jpg"
            coded = cv2.imencode(".jpg", component, [cv2.IMWRITE_JPEG_QUALITY, FLOW_JPEG_QUALITY])[1]
            path.write_bytes(coded.tobytes())
    (folder / "bound.txt").write_text(f"{bound:g}\n")
    return count


WRITERS: Final[dict[str, Callable[[Iterator[Flow], Path, str, float], int]]] = {
    ".npz": _write_npz,
    ".h5": _write_h5,
}
"""Writers of single files by extension; a path without one is a folder of pictures."""
