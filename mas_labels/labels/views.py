"""Views: the crops of a clip, mirrored or not, that a network may see. Each view has its own labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mas_labels.errors import InputError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.schema import VIEW_COLUMNS

NO_VIEWS: NDArray[np.int16] = np.empty((0, len(VIEW_COLUMNS)), np.int16)
"""The table of views of a shard with frames only."""


def centre_view(rows: int, cols: int, view_size: int) -> NDArray[np.int64]:
    """Return (1, 3) int64: the centre crop of a frame, not mirrored."""
    return check_views([[(rows - view_size) // 2, (cols - view_size) // 2, 0]], rows, cols, view_size)


def view_table(
    stride: int, mirrored: bool = True, geometry: Geometry = DEFAULT_GEOMETRY
) -> NDArray[np.int16]:
    """Return a table of views: a grid of crops of a frame.

    Parameters
    ----------
    stride
        Pixels between two crops, along rows and columns; 1 gives every crop (by default 17 x 60).
    mirrored
        Whether to add each crop mirrored.
    geometry
        Defines the sizes of frame and view.

    Returns
    -------
    (V, 3) int16, columns `schema.VIEW_COLUMNS`. Row 0 is always the centre view, unmirrored; then the grid
    from the top left, each crop followed by its mirror image. By default, stride 8 gives 50 views.
    """
    sides, size = (geometry.frame_rows, geometry.frame_cols), geometry.view_size
    centre = tuple(centre_view(*sides, size)[0, :2].tolist())
    tops, lefts = (range(0, side - size + 1, stride) for side in sides)
    offsets = [centre] + [(top, left) for top in tops for left in lefts if (top, left) != centre]
    table = [(top, left, flip) for top, left in offsets for flip in ((0, 1) if mirrored else (0,))]
    return np.array(table, np.int16)


def check_views(views: ArrayLike, rows: int, cols: int, view_size: int) -> NDArray[np.int64]:
    """Return `views` as (V, 3) int64, or raise `InputError` if one is not a crop of a rows x cols frame."""
    if rows < view_size or cols < view_size:
        raise InputError(f"frames: expected at least {view_size} x {view_size} pixels, found {rows} x {cols}")
    table = np.asarray(views)
    if table.ndim != 2 or table.shape[1] != len(VIEW_COLUMNS) or table.dtype.kind not in "iub":
        raise InputError(
            f"views: expected integers of shape (V, 3), {VIEW_COLUMNS}, found {table.dtype} {table.shape}"
        )
    upper = np.array([rows - view_size, cols - view_size, 1])
    outside = np.flatnonzero(((table < 0) | (table > upper)).any(axis=1))
    if outside.size:
        found = tuple(table[outside[0]].tolist())
        raise InputError(
            f"views: row {outside[0]} is {found}, expected at most {tuple(upper.tolist())} and no negative"
        )
    return table.astype(np.int64)
