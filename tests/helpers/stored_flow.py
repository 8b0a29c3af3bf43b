"""Writes flow as other programs do: pictures in their layouts, arrays in files."""

from __future__ import annotations

import cv2
import h5py
import numpy as np

from mas_labels.flow.grey import flow_to_grey, grey_to_flow

VIDEO = "sport/run.avi"


def smooth_flow(fields=4, rows=48, cols=64, seed=0):
    """Return (fields, rows, cols, 2) float32 of a few pixels per frame, smooth in space."""
    noise = np.random.default_rng(seed).normal(0, 30, (fields, rows, cols, 2)).astype(np.float32)
    return np.stack([cv2.GaussianBlur(field, (0, 0), 5) for field in noise])


def through_grey(flow, bound=20.0):
    """Return flow as lossless pictures keep it."""
    return grey_to_flow(flow_to_grey(flow, bound), bound)


def write_pictures(folder, flow, u_name, v_name, first=1, bound=20.0):
    """Write pictures of u and v; names are formats that take the number."""
    for number, field in enumerate(flow, first):
        for name, component in zip((u_name, v_name), np.moveaxis(field, -1, 0), strict=True):
            path = folder / name.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), flow_to_grey(component, bound))
    return folder


def write_array(path, flow, **more):
    """Write flow into a file .npz, .h5 or .npy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, flow)
    elif path.suffix == ".npz":
        np.savez_compressed(path, flow=flow, **more)
    else:
        with h5py.File(path, "w") as file:
            file["flow"] = flow
            file["flow"].attrs.update(more)
    return path
