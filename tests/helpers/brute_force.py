"""The 27 labels of one view, implemented naively from the definitions: slow, and without shared code.

Views are made by mirroring, negating and cropping arrays, so that nothing is assumed about views either. Only
the derivatives are taken before cropping, because the border of a crop is not a motion boundary.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

PAPER_SIZES = (112, 28, 14)
"""Side of the view, side of a block of the grid, width of a ring, in pixels."""


@functools.cache
def blocks_of_patterns(shared_diagonals, sizes=PAPER_SIZES):
    """Return three lists of (view, view) masks, decided by every pixel's centre."""
    view, block, width = sizes
    in_row, numbers = view // block, ((view // block) ** 2, view // (2 * width), 8)
    grid, rings, triangles = [np.zeros((n, view, view), bool) for n in numbers]
    for row in range(view):
        for col in range(view):
            grid[(row // block) * in_row + col // block, row, col] = True
            y, x = row - (view - 1) / 2, col - (view - 1) / 2  # from the centre, y downwards
            distance = max(abs(y), abs(x))  # 0.5 ... 55.5 by default
            rings[int(distance // width), row, col] = True
            side, flat = (1 if x < 0 else 4), (2 if x < 0 else 3)
            below = 4 if y > 0 else 0
            if abs(x) > abs(y) or (shared_diagonals and abs(x) == abs(y)):
                triangles[below + side - 1, row, col] = True
            if abs(x) <= abs(y):
                triangles[below + flat - 1, row, col] = True
    return grid, rings, triangles


def derivative(field, authors):
    """Return d/dcol and d/drow of (rows, cols)."""
    if not authors:
        d_row, d_col = np.gradient(field.astype(np.float64))
        return d_col, d_row
    padded = np.pad(field.astype(np.float64), 1, mode="symmetric")
    rows, cols = field.shape
    d_col, d_row = np.zeros((rows, cols)), np.zeros((rows, cols))
    for offset in (-1, 0, 1):
        lines = padded[1 + offset : 1 + offset + rows, :]
        d_col += lines[:, 0:cols] - lines[:, 2 : 2 + cols]
        lines = padded[:, 1 + offset : 1 + offset + cols]
        d_row += lines[0:rows, :] - lines[2 : 2 + rows, :]
    return d_col, d_row


def largest_motion(boundary, masks, authors, is_grid):
    """Return location and orientation of one summed boundary, (2, view, view)."""
    d_col, d_row = boundary
    magnitude = np.hypot(d_col, d_row)
    means = [magnitude[mask].mean() for mask in masks]
    best = int(np.argmax(means))
    if authors and is_grid and means[best] == 0:
        return [0, 0]
    bins = np.zeros(8)
    if authors:
        _, angle = cv2.cartToPolar(d_col.astype(np.float32), d_row.astype(np.float32), angleInDegrees=True)
        position = angle[masks[best]].astype(np.float64) / 45
        lower = np.floor(position).astype(int)
        share = position - lower
        np.add.at(bins, lower % 8, magnitude[masks[best]] * (1 - share))
        np.add.at(bins, (lower + 1) % 8, magnitude[masks[best]] * share)
    else:
        angle = np.degrees(np.arctan2(-d_row, d_col)) % 360
        np.add.at(bins, (angle[masks[best]] // 45).astype(int) % 8, magnitude[masks[best]])
    return [best + 1, int(np.argmax(bins)) + 1]


AUTHORS_COLOURS = {
    (0, 0, 1): 1,
    (0, 1, 1): 2,
    (1, 0, 1): 3,
    (1, 1, 1): 4,
    (0, 0, 0): 5,
    (0, 1, 0): 6,
    (1, 0, 0): 7,
    (1, 1, 0): 8,
}


def dominant_colour(pixels, authors):
    """Return the number of the dominant colour of (n, 3) pixels."""
    pixels = pixels.astype(np.int64)
    if authors:
        codes, counts = np.unique(pixels @ [1, 256, 65536], return_counts=True)
        code = int(codes[np.argmax(counts)])
        rgb = code % 256, code // 256 % 256, code // 65536
        return AUTHORS_COLOURS[tuple(int(value >= 128) for value in rgb)]
    numbers = 1 + (pixels >= 128) @ [4, 2, 1]
    return int(np.argmax(np.bincount(numbers, minlength=9)[1:])) + 1


def iou(frames, mask):
    """Return the IoU score of a block of (T, view, view, 3) frames."""
    scores = []
    for channel in range(3):
        histograms = [np.bincount(frame[mask][:, channel], minlength=256) for frame in frames]
        scores.append(np.min(histograms, axis=0).sum() / np.max(histograms, axis=0).sum())
    return np.mean(scores)


def labels_of_view(frames, flow, top, left, mirrored, convention, sizes=PAPER_SIZES):
    """Return the 27 labels of a view of whole frames (T, H, W, 3) and flow (T - 1, H, W, 2)."""
    authors, view = convention == "authors", sizes[0]
    cols = frames.shape[2]
    if mirrored:
        frames = frames[:, :, ::-1]
        flow = flow[:, :, ::-1] * np.float32([-1, 1])
        left = cols - view - left
    crop = np.s_[top : top + view, left : left + view]
    derivatives = [[np.array(derivative(field[..., c], authors)) for field in flow] for c in (0, 1)]
    derivatives = [[field[(slice(None), *crop)] for field in fields] for fields in derivatives]
    frames = frames[(slice(None), *crop)]
    patterns = blocks_of_patterns(authors, sizes)
    values = []
    for masks in patterns:
        for fields in derivatives:
            values += largest_motion(np.sum(fields, axis=0), masks, authors, masks is patterns[0])
    for fields in derivatives:
        values.append(int(np.argmax([np.hypot(*field).sum() for field in fields])) + 1)
    for masks in patterns:
        scores = [iou(frames, mask) for mask in masks]
        for block in (int(np.argmin(scores)), int(np.argmax(scores))):
            values += [block + 1, dominant_colour(frames[:, masks[block]].reshape(-1, 3), authors)]
    values.append(dominant_colour(frames.reshape(-1, 3), authors))
    return values
