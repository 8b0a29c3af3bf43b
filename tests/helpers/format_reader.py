"""A reader of shards written from docs/format.md alone, with h5py, NumPy and OpenCV, without mas_labels.

As a program: ``python format_reader.py SHARD`` reads and checks everything, and prints a summary as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np

TABLES = {
    "views": ("i2", "views", (3,)),
    "classes": ("S", "classes", ()),
    "videos/path": ("S", "videos", ()),
    "videos/class_index": ("i4", "videos", ()),
    "videos/splits": ("S", "videos", ()),
    "videos/group": ("S", "videos", ()),
    "videos/frames": ("u4", "videos", ()),
    "videos/bytes": ("u8", "videos", ()),
    "videos/fps": ("f8", "videos", ()),
    "videos/size": ("u4", "videos", (2,)),
    "videos/clips": ("u4", "videos", ()),
    "clips/video": ("u4", "clips", ()),
    "clips/start_frame": ("u4", "clips", ()),
    "failures/path": ("S", "failures", ()),
    "failures/stage": ("S", "failures", ()),
    "failures/code": ("S", "failures", ()),
    "failures/message": ("S", "failures", ()),
}
OPTIONAL = {
    "videos/skipped_clips": ("u4", "videos", ()),
    "clips/cut": ("u1", "clips", ()),
    "clips/labels": ("u1", "clips", ("views", 27)),
    "clips/motion": ("f4", "clips", ("fields", 2)),
    "clips/mu": ("f2", "clips", ("rows", "cols", 2)),
    "clips/mv": ("f2", "clips", ("rows", "cols", 2)),
    "clips/flow": ("f2", "clips", ("fields", "rows", "cols", 2)),
    "frames/jpeg": ("u1", "bytes", ()),
    "frames/offsets": ("u8", "offsets", ()),
    "frames/raw": ("u1", "clips", ("frames", "rows", "cols", 3)),
}


class FormatReader:
    """One shard, all of it in memory."""

    def __init__(self, path: str) -> None:
        self.path = path
        with h5py.File(path, "r") as file:
            self.attributes = {name: file.attrs[name] for name in file.attrs}
            self.data = {}
            file.visititems(self._take)
        assert self.attributes["format"] == b"mas-shard"
        assert self.attributes["schema_version"] in (2, 3)
        self.config = json.loads(self.attributes["config"])
        self.frames_per_clip, self.step = self.config.get("clip_frames", 16), self.config.get("frame_step", 1)
        self.size = self.config.get("frame_rows", 128), self.config.get("frame_cols", 171)
        self.view_size = self.config.get("view_size", 112)
        self.plan = json.loads(self.attributes["plan"])
        self.versions = json.loads(self.attributes["versions"])

    def _take(self, name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            self.data[name] = item[()]

    def check_file_digest(self) -> None:
        """Compare the first 512 bytes with what follows them."""
        with Path(self.path).open("rb") as file:
            block, rest = file.read(512), file.read()
        text = "A shard of mas-labels: 512 bytes of text, then HDF5.\nsha256 of the HDF5: "
        text += hashlib.sha256(rest).hexdigest() + "\n"
        assert block == text.encode().ljust(511) + b"\n"

    def content_hash(self) -> str:
        """Compute the hash of the content."""
        attributes = {
            name: self.attributes[name].decode() for name in ("format", "config", "plan", "versions")
        }
        data = {}
        for name, rows in self.data.items():
            kind = rows.dtype.newbyteorder("<")
            digest = hashlib.sha256(rows.astype(kind).tobytes()).hexdigest()
            data[name] = f"{kind.str}{list(rows.shape[1:])}:{digest}"
        version = int(self.attributes["schema_version"])
        whole = {"attributes": {**attributes, "schema_version": version}, "data": data}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode("ascii")).hexdigest()

    def check_shapes(self) -> None:
        """Check that every data set has its type and shape, and that the page names all of them."""
        sizes = {
            "views": len(self.data["views"]),
            "classes": len(self.data["classes"]),
            "videos": len(self.data["videos/path"]),
            "clips": len(self.data["clips/video"]),
            "failures": len(self.data["failures/path"]),
            "offsets": self.frames_per_clip * len(self.data["clips/video"]) + 1,
            "bytes": len(self.data.get("frames/jpeg", ())),
            "frames": self.frames_per_clip,
            "fields": self.frames_per_clip - 1,
            "rows": self.size[0],
            "cols": self.size[1],
        }
        assert set(TABLES) <= set(self.data) <= {*TABLES, *OPTIONAL}
        for name, rows in self.data.items():
            kind, count, row = {**TABLES, **OPTIONAL}[name]
            assert rows.shape == (sizes[count], *(sizes.get(n, n) for n in row)), name
            assert rows.dtype.kind == "S" if kind == "S" else rows.dtype == np.dtype(kind), name

    def check_clips(self) -> None:
        """Check that clips are in the order of the videos, at multiples of the stride."""
        counts = self.data["videos/clips"]
        assert np.array_equal(self.data["clips/video"], np.repeat(np.arange(len(counts)), counts))
        stride = self.config["clip_stride_frames"]
        skipped = self.data.get("videos/skipped_clips", np.zeros_like(counts))
        assert ("videos/skipped_clips" in self.data) == self.config.get("skip_cuts", False)
        firsts = np.cumsum(counts) - counts
        for first, count, left_out in zip(firsts.tolist(), counts.tolist(), skipped.tolist(), strict=True):
            starts = self.data["clips/start_frame"][first : first + count].tolist()
            assert set(starts) <= {stride * number for number in range(count + left_out)}
            assert starts == sorted(set(starts))
        cuts = self.data.get("clips/cut", np.zeros(0)).tolist()  # version 2 had none
        assert set(cuts) <= ({0} if "skip_cuts" in self.config else {0, 1})
        frames = np.repeat(self.data["videos/frames"], counts)
        last = (self.frames_per_clip - 1) * self.step
        assert (self.data["clips/start_frame"] + last < frames).all()
        if self.config.get("fps"):
            over, _, under = self.config["fps"].partition("/")
            assert np.allclose(self.data["videos/fps"], int(over) / int(under or 1), rtol=1e-15)

    def check_labels(self) -> None:
        """Check the ranges of labels and, where flow is stored, Mu, Mv and motion."""
        if self.config["frames_only"]:
            assert len(self.data["views"]) == 0
            names = ("labels", "motion", "mu", "mv", "flow")
            assert not {f"clips/{name}" for name in names} & set(self.data)
            return
        authors = self.config["convention"] == "authors"
        least = [0 if authors and column < 4 else 1 for column in range(27)]
        labels = self.data["clips/labels"]
        assert ((labels >= least) & (labels <= self.largest_labels())).all()
        if "clips/flow" in self.data:
            for clip, flow in enumerate(self.data["clips/flow"].astype(np.float64)):
                for axis, name in enumerate(("mu", "mv")):
                    made = self._boundaries(flow[..., axis], authors)
                    stored = self.data[f"clips/{name}"][clip]
                    assert np.abs(made.sum(axis=0) - stored).max() < 0.3
                    lengths = np.hypot(made[..., 0], made[..., 1]).mean(axis=(1, 2))
                    assert np.allclose(
                        lengths, self.data["clips/motion"][clip, :, axis], rtol=0.02, atol=1e-3
                    )

    def largest_labels(self) -> list[int]:
        """Return the largest value of each label."""
        grid = (self.view_size // self.config.get("grid_block", self.view_size // 4)) ** 2
        rings = self.view_size // 2 // self.config.get("ring_width", self.view_size // 8)
        patterns = [number for blocks in (grid, rings, 8) for number in (blocks, 8, blocks, 8)]
        return [*patterns, *[self.frames_per_clip - 1] * 2, *patterns, 8]

    def _boundaries(self, fields: np.ndarray, authors: bool) -> np.ndarray:
        """Return d/dcol and d/drow of (fields, rows, cols) as (fields, rows, cols, 2)."""
        if not authors:
            return np.stack([np.gradient(fields, axis=2), np.gradient(fields, axis=1)], axis=-1)
        padded = np.pad(fields, [(0, 0), (1, 1), (1, 1)], mode="symmetric")
        rows, cols = np.array([1.0, 1.0, 1.0]), np.array([1.0, 0.0, -1.0])
        made = np.zeros((*fields.shape, 2))
        for y in range(3):
            for x in range(3):
                part = padded[:, y : y + fields.shape[1], x : x + fields.shape[2]]
                made[..., 0] += rows[y] * cols[x] * part
                made[..., 1] += cols[y] * rows[x] * part
        return made

    def frames(self, clip: int) -> np.ndarray:
        """Return a clip's frames, (frames, rows, cols, 3) RGB."""
        if "frames/raw" in self.data:
            return self.data["frames/raw"][clip]
        offsets, made = self.data["frames/offsets"].tolist(), []
        count = self.frames_per_clip
        for number in range(count * clip, count * clip + count):
            coded = self.data["frames/jpeg"][offsets[number] : offsets[number + 1]]
            made.append(cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))
        return np.stack(made)

    def view(self, clip: int, row: int) -> np.ndarray:
        """Return one view of a clip: (frames, view_size, view_size, 3)."""
        top, left, mirrored = self.data["views"][row].tolist()
        seen = self.frames(clip)[:, top : top + self.view_size, left : left + self.view_size]
        return seen[:, :, ::-1] if mirrored else seen

    def check_name(self) -> None:
        """Check that the file is named as its plan says."""
        plan = self.plan
        name = f"{plan['manifest']}-{plan['split']}-{plan['index']:05d}-of-{plan['count']:05d}.h5"
        assert Path(self.path).name == name


def resized(picture: np.ndarray, rows: int = 128, cols: int = 171) -> np.ndarray:
    """Resize a picture of 8 bits as the page says."""
    shrunk = min(picture.shape[0], rows), min(picture.shape[1], cols)
    if shrunk != picture.shape[:2]:
        picture = cv2.resize(picture, shrunk[::-1], interpolation=cv2.INTER_AREA)
    if shrunk != (rows, cols):
        picture = cv2.resize(picture, (cols, rows), interpolation=cv2.INTER_LINEAR)
    return picture


def main(path: str) -> None:
    """Read and check a shard; print its content."""
    shard = FormatReader(path)
    shard.check_file_digest()
    shard.check_name()
    shard.check_shapes()
    shard.check_clips()
    shard.check_labels()
    assert shard.content_hash() == shard.attributes["content_hash"].decode()
    found = {
        "videos": [os.fsdecode(path) for path in shard.data["videos/path"]],
        "failures": [os.fsdecode(path) for path in shard.data["failures/path"]],
        "starts": shard.data["clips/start_frame"].tolist(),
        "frames": [
            hashlib.sha256(shard.frames(clip).tobytes()).hexdigest()
            for clip in range(len(shard.data["clips/video"]))
        ],
        "ours": sorted(name for name in sys.modules if name.startswith("mas_")),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
