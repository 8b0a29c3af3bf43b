"""Views: the crops of a clip, mirrored or not, that a network may see. Each view has its own labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mas_labels.errors import InputError
from mas_labels.schema import FRAME_COLS, FRAME_ROWS, VIEW_COLUMNS, VIEW_SIZE

NO_VIEWS: NDArray[np.int16] = np.empty((0, len(VIEW_COLUMNS)), np.int16)
"""The table of views of a shard with frames only."""


def centre_view(rows: int = FRAME_ROWS, cols: int = FRAME_COLS) -> NDArray[np.int64]:
    """Return (1, 3) int64: the centre crop of a frame, not mirrored."""
    return check_views([[(rows - VIEW_SIZE) // 2, (cols - VIEW_SIZE) // 2, 0]], rows, cols)


def view_table(stride: int, mirrored: bool = True) -> NDArray[np.int16]:
    """Return a table of views: a grid of crops of a frame.

    Parameters
    ----------
    stride
        Pixels between two crops, along rows and columns; 1 gives every crop (17 x 60 for 128 x 171).
    mirrored
        Whether to add each crop mirrored.

    Returns
    -------
    (V, 3) int16, columns `schema.VIEW_COLUMNS`. Row 0 is always the centre view, unmirrored; then the grid
    from the top left, each crop followed by its mirror image. Stride 8 gives 50 views.
    """
    centre = tuple(centre_view()[0, :2].tolist())
    tops, lefts = (range(0, side - VIEW_SIZE + 1, stride) for side in (FRAME_ROWS, FRAME_COLS))
    offsets = [centre] + [(top, left) for top in tops for left in lefts if (top, left) != centre]
    table = [(top, left, flip) for top, left in offsets for flip in ((0, 1) if mirrored else (0,))]
    return np.array(table, np.int16)


def check_views(views: ArrayLike, rows: int, cols: int) -> NDArray[np.int64]:
    """Return `views` as (V, 3) int64, or raise `InputError` if one is not a crop of a rows x cols frame."""
    if rows < VIEW_SIZE or cols < VIEW_SIZE:
        raise InputError(f"frames: expected at least {VIEW_SIZE} x {VIEW_SIZE} pixels, found {rows} x {cols}")
    table = np.asarray(views)
    if table.ndim != 2 or table.shape[1] != len(VIEW_COLUMNS) or table.dtype.kind not in "iub":
        raise InputError(
            f"views: expected integers of shape (V, 3), {VIEW_COLUMNS}, found {table.dtype} {table.shape}"
        )
    upper = np.array([rows - VIEW_SIZE, cols - VIEW_SIZE, 1])
    outside = np.flatnonzero(((table < 0) | (table > upper)).any(axis=1))
    if outside.size:
        found = tuple(table[outside[0]].tolist())
        raise InputError(
            f"views: row {outside[0]} is {found}, expected at most {tuple(upper.tolist())} and no negative"
        )
    return table.astype(np.int64)
