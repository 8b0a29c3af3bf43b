"""The 27 labels of every view of a clip (paper, sections 3.2 and 3.3; figure 5 for their order)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mas_labels.errors import ConfigError, InputError
from mas_labels.geometry import DEFAULT_GEOMETRY, MAX_LABEL, Geometry
from mas_labels.labels.appearance import AppearanceSums
from mas_labels.labels.block_sums import BACKEND_VARIABLE, Backend
from mas_labels.labels.block_sums_native import native_backend
from mas_labels.labels.block_sums_numpy import NUMPY_BACKEND
from mas_labels.labels.conventions import get_convention
from mas_labels.labels.motion import MotionSums
from mas_labels.labels.motion_boundary import check_flow
from mas_labels.labels.views import centre_view, check_views
from mas_labels.video.clips import check_frames

MAX_FRAMES: Final = MAX_LABEL + 1
"""Largest number of frames in a clip, since labels number the fields in uint8."""


def compute_labels(
    frames: NDArray[np.uint8],
    flow: NDArray[np.float32],
    views: ArrayLike | None = None,
    convention: str = "paper",
    geometry: Geometry = DEFAULT_GEOMETRY,
) -> NDArray[np.uint8]:
    """Compute the 27 labels of each view of a clip.

    Parameters
    ----------
    frames
        (T, H, W, 3) uint8 RGB, at most 256, at least as large as a view; the paper has 16 of 128 x 171.
    flow
        (T - 1, H, W, 2) floating point, (u, v) in pixels per frame between consecutive frames.
    views
        (V, 3) integers: top, left, mirrored. `left` is that in the unmirrored frame, and mirroring comes
        after cropping. None: only the centre view, not mirrored.
    convention
        ``"paper"`` or ``"authors"``, see `mas_labels.labels.conventions`.
    geometry
        Defines the sizes of view (by default 112 x 112) and blocks; frames and clips may have any size.

    Returns
    -------
    (V, 27) uint8, columns as in `mas_labels.schema.LABEL_NAMES`.

    Raises
    ------
    InputError
        If a shape or dtype is wrong, the flow is not finite or beyond 16384 pixels, or a view is out of the
        frame.
    ConfigError
        If the convention is unknown, or ``MAS_LABELS`` has another value than ``numpy``.
    MissingDependencyError
        If the extension was not built; see `choose_backend`.

    Notes
    -----
    - Derivatives are computed on the whole field and then cropped: the border of a crop is not a boundary.
    - A mirrored view has the mirrored flow with u negated; the released code does not negate it.
    - Ties go to the lowest number; a motionless clip gets the lowest numbers (`authors`: 0 on the grid).
    - In another geometry, blocks are of other sizes and numbers; all rules stay the same.
    - Magnitudes are rounded to 2**-20 pixels, see `mas_labels.labels.motion_boundary.UNITS_PER_PIXEL`.
    """
    return clip_statistics(frames, flow, views, convention, geometry).labels


@dataclass(frozen=True)
class ClipStatistics:
    """The labels of a clip's views, and the motion that shards store with them.

    Attributes
    ----------
    labels
        (V, 27) uint8.
    mu, mv
        (H, W, 2) float32, the summed motion boundaries.
    motion
        (T - 1, 2) float32, magnitudes of the boundaries of u and of v of each field, averaged over the frame,
        in pixels.
    """

    labels: NDArray[np.uint8]
    mu: NDArray[np.float32]
    mv: NDArray[np.float32]
    motion: NDArray[np.float32]


def clip_statistics(
    frames: NDArray[np.uint8],
    flow: NDArray[np.float32],
    views: ArrayLike | None = None,
    convention: str = "paper",
    geometry: Geometry = DEFAULT_GEOMETRY,
) -> ClipStatistics:
    """Compute the labels of each view, and the motion that shards store with them.

    Parameters, errors and notes as for `compute_labels`.
    """
    frames = np.asarray(frames)
    check_frames(frames)
    flow = check_flow(flow)
    if len(frames) > MAX_FRAMES:
        raise InputError(f"frames: expected at most {MAX_FRAMES}, found {len(frames)}: cut them into clips")
    if flow.shape[:3] != (len(frames) - 1, *frames.shape[1:3]):
        expected = (len(frames) - 1, *frames.shape[1:3], 2)
        raise InputError(f"flow: expected shape {expected} for these frames, found {flow.shape}")
    sizes = (*frames.shape[1:3], geometry.view_size)
    table = centre_view(*sizes) if views is None else check_views(views, *sizes)
    choices, backend = get_convention(convention), choose_backend()
    offsets, mirrored = table[:, :2].astype(np.int32), table[:, 2]
    crops, crop = np.unique(offsets, axis=0, return_inverse=True)
    crop = crop.reshape(-1)  # NumPy 2.0 returns another shape
    motion = MotionSums.of_flow(flow, crops, choices, geometry, backend)
    appearance = AppearanceSums.of_frames(frames, crops, choices, geometry, backend)
    labels = [each.labels(crop, mirrored, choices) for each in (motion, appearance)]
    mu, mv = motion.fields.boundaries
    return ClipStatistics(np.concatenate(labels, axis=1), mu, mv, motion.field_means())


def choose_backend() -> Backend:
    """Return the compiled backend of the per-block sums, or NumPy's if ``MAS_LABELS=numpy``.

    A machine without a compiler can still compute labels, but is slow only on request.

    Raises
    ------
    MissingDependencyError
        The extension was not built, and NumPy was not requested.
    ConfigError
        ``MAS_LABELS`` has any other value.
    """
    name = os.environ.get(BACKEND_VARIABLE, "")
    if name == "numpy":
        return NUMPY_BACKEND
    if name:
        raise ConfigError(f"{BACKEND_VARIABLE}={name}: expected numpy, or unset it for the compiled backend")
    return native_backend()
