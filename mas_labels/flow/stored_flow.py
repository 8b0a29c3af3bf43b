"""Reads flow that exists already, as pictures or as numbers, in place of computing that of a video."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import VideoError, reason_of, system_error
from mas_labels.flow.flow_layouts import OTHER_STEP, STEP_REMEDY, FlowFiles, find_flow
from mas_labels.flow.formats import BOUND_FILE
from mas_labels.flow.grey import BOUND, grey_to_flow
from mas_labels.video.clips import resize
from mas_labels.video.pictures import decode_grey
from mas_labels.video.reader import MACHINE_CODES, unreadable

Flow = NDArray[np.float32]

BROKEN: Final = "broken_flow"
"""Code of the failure of a video whose flow is damaged or of another kind."""
ARRAY_ERRORS: Final = (
    *(OSError, MemoryError, EOFError, KeyError, ValueError, TypeError),
    *(RuntimeError, NotImplementedError, AttributeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""Exceptions of NumPy and HDF5 for files that are damaged, of another kind, or cannot be read now."""


@dataclass(frozen=True)
class StoredFlow:
    """The flow of one video that was computed before.

    Attributes
    ----------
    files
        Its files.
    fields
        Number of its fields.
    read
        Function that reads the fields from one number up to another: (fields, H, W, 2) float32, (u, v) in
        pixels per frame of the stored size.
    """

    files: FlowFiles
    fields: int
    read: Callable[[int, int], Flow]

    def starting_at(self, frames: int, is_complete: bool, path: Path) -> StoredFlow:
        """Return the flow whose field 0 leads from frame 0 to frame 1 of a video.

        Parameters
        ----------
        frames
            Number of frames that the video has.
        is_complete
            False: its decoder failed after them, and the flow may be of more.
        path
            The video, or the folder of its frames.

        Raises
        ------
        VideoError
            If the number of fields does not fit.

        Notes
        -----
        Expected is one field fewer than frames. As many as frames are accepted of pictures in the folder of
        the frames: the tools of temporal segment networks store each field with the second of its frames, so
        the first field leads to the first frame, and is not used.
        """
        is_beside = bool(self.files.pairs) and path.is_dir() and path.samefile(self.files.path)
        if self.fields == frames - 1 or (self.fields >= frames and not is_complete and not is_beside):
            return self
        if self.fields == frames and is_complete and is_beside:
            read = self.read
            return StoredFlow(self.files, self.fields - 1, lambda start, stop: read(start + 1, stop + 1))
        raise VideoError(
            "flow",
            "other_count",
            f"expected {max(0, frames - 1)} fields between its {frames} frames, found {self.fields} in "
            f"{self.files.path}: make the flow of all frames of this very video",
        )


def resize_flow(flow: Flow, rows: int, cols: int) -> Flow:
    """Resize flow, and scale its vectors to pixels of the new size; flow of that size is returned unchanged.

    Parameters
    ----------
    flow
        (fields, H, W, 2) float32, (u, v) in pixels per frame.

    Notes
    -----
    The interpolation is that of frames (`mas_labels.video.clips.resize`): area averages along a side that
    shrinks, linear along one that grows. u is multiplied by cols / W, v by rows / H.
    """
    if flow.shape[1:3] == (rows, cols):
        return flow
    stretch = np.array([cols / flow.shape[2], rows / flow.shape[1]], np.float32)
    return np.stack([resize(field, rows, cols) for field in flow]) * stretch


def open_flow(folder: Path, video: str, bound: float) -> StoredFlow:
    """Find the flow of a video and prepare to read it.

    Parameters
    ----------
    folder, video
        See `mas_labels.flow.flow_layouts.find_flow`.
    bound
        Motion that the grey value 255 of pictures stands for, pixels per frame; 0: the flow is numbers.

    Raises
    ------
    VideoError
        With stage ``"flow"``: if there is none, it is damaged, or `bound` is not that of these files. With
        one of `mas_labels.video.reader.MACHINE_CODES` if it cannot be read now.
    """
    files = find_flow(folder, video)
    found = read_bound(files, bound or BOUND)
    if found != bound:
        raise VideoError(
            "flow",
            "other_bound",
            f"expected {describe_flow(bound)}, as for the first video, found {describe_flow(found)} in "
            f"{files.path}: give each kind of flow its own folder and run",
        )
    if files.pairs:
        return StoredFlow(files, len(files.pairs), partial(_read_pictures, files, bound))
    return _open_array(files)


def describe_flow(bound: float) -> str:
    """Describe how flow is stored, by its bound."""
    return f"pictures of bound {bound:g}" if bound else "numbers"


def read_bound(files: FlowFiles, default: float) -> float:
    """Return the bound of pictures, from the file next to them if there is one; 0 for numbers."""
    if not files.pairs:
        return 0.0
    path = files.path / BOUND_FILE
    try:
        bound = float(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return default
    except OSError as error:
        raise unreadable("flow", error) from error
    except ValueError:
        bound = 0.0
    if not 0 < bound < np.inf:
        raise VideoError("flow", BROKEN, f"expected a number of pixels, such as 20, in {path}: correct it")
    return bound


def _read_pictures(files: FlowFiles, bound: float, start: int, stop: int) -> Flow:
    """Read the pictures of some fields."""
    pictures = [[_read_grey(path) for path in pair] for pair in files.pairs[start:stop]]
    sizes = {picture.shape for pair in pictures for picture in pair}
    if len(sizes) > 1:
        found = " and ".join(sorted(f"{rows} x {cols}" for rows, cols in sizes))
        raise VideoError(
            "flow",
            BROKEN,
            f"expected pictures of one size, found {found} from {files.pairs[start][0].name!r} on: make the "
            "flow again",
        )
    return grey_to_flow(np.moveaxis(np.array(pictures), 1, -1), bound)


def _read_grey(path: Path) -> NDArray[np.uint8]:
    try:
        return decode_grey(path)
    except VideoError as error:
        code = error.code if error.code in MACHINE_CODES else BROKEN
        raise VideoError("flow", code, error.message) from error


def _open_array(files: FlowFiles) -> StoredFlow:
    """Prepare to read numbers: from HDF5 those of some fields at a time; other files are read now."""
    path = files.path
    with _named_errors(path):
        if path.suffix.lower() == ".h5":
            import h5py  # here: processes that decode seldom need it, and each would wait for it

            with h5py.File(path, "r") as file:
                fields = _check(path, file["flow"], file["flow"].attrs.get("step", 1))
            return StoredFlow(files, fields, partial(_read_hdf5, path))
        with path.open("rb") as stream:  # NumPy leaves a damaged file open
            flow, step = np.load(stream, allow_pickle=False), 1
            if not isinstance(flow, np.ndarray):
                with flow as arrays:
                    flow, step = arrays["flow"], arrays.get("step", 1)
        fields = _check(path, flow, step)
        return StoredFlow(files, fields, lambda start, stop: flow[start:stop].astype(np.float32))


def _read_hdf5(path: Path, start: int, stop: int) -> Flow:
    import h5py

    with _named_errors(path), h5py.File(path, "r") as file:
        fields: Flow = file["flow"][start:stop].astype(np.float32)
        return fields


def _check(path: Path, flow: Any, step: Any) -> int:
    """Return the number of fields of an array; raise `VideoError` if it is not flow of step 1."""
    if flow.ndim != 4 or flow.shape[3] != 2 or flow.dtype.kind != "f":
        raise VideoError(
            "flow",
            BROKEN,
            f"expected floating-point numbers of shape (fields, rows, cols, 2) in {path.name!r}, found "
            f"{flow.dtype} of {flow.shape}",
        )
    if int(step) != 1:
        raise VideoError("flow", OTHER_STEP, f"{path.name!r} is of step {step}: {STEP_REMEDY}")
    return len(flow)


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turn exceptions for a file of numbers into `VideoError`."""
    try:
        yield
    except ARRAY_ERRORS as error:
        if system_error(error) is not None:
            raise unreadable("flow", error) from error
        raise VideoError(
            "flow", BROKEN, f"{path.name!r} cannot be read ({reason_of(error)}): make the flow again"
        ) from error
