"""Pictures whose orientation is given by a display matrix or by EXIF."""

from __future__ import annotations

import struct

import cv2
import numpy as np

WAYS = {  # a, b, c, d of the matrix; the corners as they are to be shown; the EXIF number of the same
    (1, 0, 0, 1): (["red green", "blue white"], 1),
    (-1, 0, 0, 1): (["green red", "white blue"], 2),
    (-1, 0, 0, -1): (["white blue", "green red"], 3),
    (1, 0, 0, -1): (["blue white", "red green"], 4),
    (0, 1, 1, 0): (["red blue", "green white"], 5),
    (0, 1, -1, 0): (["blue red", "white green"], 6),
    (0, -1, -1, 0): (["white green", "blue red"], 7),
    (0, -1, 1, 0): (["green white", "red blue"], 8),
}


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters(rows=48, cols=64):
    """Return a picture of four colours, RGB."""
    picture = np.empty((rows, cols, 3), np.uint8)
    for row, col, colour in ((0, 0, RED), (0, 1, GREEN), (1, 0, BLUE), (1, 1, WHITE)):
        picture[row * rows // 2 :, col * cols // 2 :] = colour
    return picture


def corners(frame):
    """Name the colours of a BGR frame's four quarters."""
    names = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 1): "white"}
    rows, cols = frame.shape[0] // 4, frame.shape[1] // 4
    return [
        " ".join(names[tuple(int(v > 127) for v in frame[row, col, ::-1])] for col in (cols, 3 * cols))
        for row in (rows, 3 * rows)
    ]


def jpeg_with_exif(path, orientation):
    """Write a JPEG file with an EXIF orientation."""
    coded = cv2.imencode(".jpg", quarters()[..., ::-1])[1].tobytes()
    entry = struct.pack("<HHIHHI", 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry
    path.write_bytes(coded[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + coded[2:])
    return path
