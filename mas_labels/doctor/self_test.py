"""A self-test of flow and labels: those of a generated clip, compared with stored digests of their bits."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.doctor.finding import Finding
from mas_labels.errors import MissingDependencyError
from mas_labels.labels.block_sums import BACKEND_VARIABLE
from mas_labels.system.extensions import available_isas
from mas_labels.system.kernels import LOSSES

VIEWS: Final = ((8, 29, 0), (8, 29, 1), (0, 0, 0), (16, 59, 1), (3, 41, 0), (3, 41, 1))
FLOW_DIGEST: Final = "d0de53df9e69d52d"
LABELS_DIGEST: Final = "9e4f66918849bca1"
"""Digests of the TV-L1 flow of `grey_frames` and of `clip_labels` on any path; `make golden` writes them."""
DIFFERENT: Final = (
    "does not give the stored bits (digest {found}, expected {expected}), so that labels made here are not "
    "those of other machines: build the extensions again, without flags of your own, or report this page"
)


def generate_clip() -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return frames (16, 128, 171, 3) and a flow (15, 128, 171, 2) that are equal on every machine."""
    frame, row, col = np.indices((16, 128, 171))
    inside = (abs(row - 40 - 2 * frame) < 20) & (abs(col - 50 - 4 * frame) < 25)
    red = np.where(inside, 200 + frame, (row // 9 * 37) % 256)
    green = np.where(inside, (row * col // 50) % 256, (col // 7 * 53 + frame) % 256)
    blue = np.where(inside, 30, (row + col) % 256)
    frames = np.stack([red, green, blue], axis=-1).astype(np.uint8)
    still = ((row[1:] * 31 + col[1:] * 17 + frame[1:] * 7) % 11 - 5) / 16
    u = np.where(inside[1:], 4 + (row[1:] - 60) / 32, still)
    v = np.where(inside[1:], 2 - (col[1:] - 80) / 32, still[:, ::-1])
    return frames, np.stack([u, v], axis=-1).astype(np.float32)


def grey_frames() -> NDArray[np.uint8]:
    """Return frames to compute flow of, (3, 128, 171): the green channel of the clip."""
    return generate_clip()[0][:3, ..., 1].copy()


def clip_labels() -> NDArray[np.uint8]:
    """Return the labels of `VIEWS` of the clip, (views, 27), from its generated flow."""
    from mas_labels.labels.compute import compute_labels

    return compute_labels(*generate_clip(), VIEWS)


def digest(array: NDArray[Any]) -> str:
    """Return the first digits of the SHA-256 of an array's numbers, in little-endian order."""
    numbers = array.astype(array.dtype.newbyteorder("<"))
    return hashlib.sha256(numbers.tobytes()).hexdigest()[: len(FLOW_DIGEST)]


def find_extensions() -> Iterator[Finding]:
    """Find the compiled extensions, and what is lost without those that are missing."""
    paths = {}
    for kernel, loss in LOSSES.items():
        try:
            paths[kernel] = ", ".join(available_isas(kernel))
        except MissingDependencyError as error:
            is_needed = kernel == "tvl1" or (kernel == "labels" and not os.environ.get(BACKEND_VARIABLE))
            yield Finding("error" if is_needed else "warning", kernel, f"without it {loss}: {error}")
    built = f"{', '.join(paths)} are built; here they run as {'; '.join(dict.fromkeys(paths.values()))}"
    yield Finding("ok", "extensions", built if paths else "none is built")


def compare_flow() -> Iterator[Finding]:
    """Compare the flow of the path in use with the stored digest, and measure its time."""
    from mas_labels.flow.tvl1 import ISA_VARIABLE, isa, tvl1_flow

    try:
        best = available_isas("tvl1")[0]
    except MissingDependencyError:
        return  # told by `find_extensions`
    path = isa()
    frames = grey_frames()
    began = time.thread_time()  # a clock would count what else runs here
    flow = tvl1_flow(frames)
    milliseconds = 1e3 * (time.thread_time() - began) / len(flow)
    if digest(flow) != FLOW_DIGEST:
        different = DIFFERENT.format(found=digest(flow), expected=FLOW_DIGEST)
        yield Finding("error", "flow", f"TV-L1 by {path} {different}")
        return
    size = " x ".join(map(str, flow.shape[1:3]))
    text = f"TV-L1 by {path} gives the stored bits; a pair of frames of {size} takes {milliseconds:.3g} ms"
    if path == best:
        yield Finding("ok", "flow", text)
    else:
        yield Finding("warning", "flow", f"{text}; {best} is faster: unset {ISA_VARIABLE}")


def compare_labels() -> Iterator[Finding]:
    """Compare the labels of the backend in use with the stored digest."""
    backend = os.environ.get(BACKEND_VARIABLE)
    try:
        path = backend or available_isas("labels")[0]
    except MissingDependencyError:
        return  # told by `find_extensions`
    labels = clip_labels()
    if digest(labels) != LABELS_DIGEST:
        different = DIFFERENT.format(found=digest(labels), expected=LABELS_DIGEST)
        yield Finding("error", "labels", f"the compiled or NumPy's backend, {path}, {different}")
    elif backend:
        text = f"NumPy's are the stored ones, but many times slower to compute: unset {BACKEND_VARIABLE}"
        yield Finding("warning", "labels", text)
    else:
        yield Finding("ok", "labels", f"those by {path} are the stored ones")
