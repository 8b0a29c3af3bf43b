"""Frames of a shard, read into an array: compressed or raw, checked, with and without HDF5."""

from __future__ import annotations

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from helpers.shards import made_up_clip, write_shard

import mas_labels
from mas_labels.errors import ShardError
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.shards.frames import StoredFrames
from mas_labels.shards.reader import Shard


@pytest.mark.parametrize("frames", ["raw", "jpeg"])
def test_frames_are_read_into_an_existing_array(tmp_path, frames):
    shards = mas_labels.open_shards(write_shard(tmp_path / "a.h5", frames=frames))
    for index, clip in enumerate(shards):
        out = np.zeros((16, 128, 171, 3), np.uint8)
        shards.read_frames_into(index, out)
        np.testing.assert_array_equal(
            out, shards.shard(0).read("frames/raw", index) if frames == "raw" else clip.frames
        )


def test_checksums_of_raw_frames_are_compared_at_every_reading(tmp_path):
    """Both bypassing HDF5, in a file that looks unchanged, and by HDF5."""
    path = write_shard(tmp_path / "a.h5", frames="raw")
    before, out = path.stat(), np.zeros((16, 128, 171, 3), np.uint8)
    shard = mas_labels.open_shards(path).shard(0)
    shard.read_frames_into(1, out)
    offset = path.read_bytes().index(made_up_clip(1)[0].tobytes()[:100])
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"changed")
    with pytest.raises(ShardError, match=r"a\.h5: was changed while it was in use"):
        shard.read_frames_into(1, out)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    for fletcher32 in (shard._stored_frames._fletcher32, None):
        shard._stored_frames._fletcher32 = fletcher32
        with pytest.raises(ShardError, match=r"a\.h5: frames/raw is damaged"):
            shard.read_frames_into(1, out)
        shard.read_frames_into(0, out)
        np.testing.assert_array_equal(out, made_up_clip(0)[0])
    os.truncate(path, offset + 1000)
    with pytest.raises(ShardError, match="changed while it was in use"):
        shard.read_frames_into(1, out)


def test_raw_frames_without_the_compiled_checksum_are_read_slowly_with_a_warning(tmp_path, monkeypatch):
    path = write_shard(tmp_path / "a.h5", frames="raw")
    with Shard(path) as shard:
        compiled = shard.read_frames(1)
    monkeypatch.setitem(sys.modules, "mas_labels._checksum", None)  # as if it had not been built
    with Shard(path) as shard, pytest.warns(UserWarning, match="_checksum is not built: raw frames"):
        np.testing.assert_array_equal(shard.read_frames(1), compiled)


def test_compressed_raw_frames_are_read_through_hdf5(tmp_path):
    pictures = np.stack([made_up_clip(index)[0] for index in range(2)])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("frames/raw", data=pictures, chunks=(1, *pictures.shape[1:]), compression="gzip")
        reader = StoredFrames(tmp_path / "a.h5", file.id.get_vfd_handle(), file, DEFAULT_GEOMETRY)
        out = np.zeros_like(pictures[0])
        reader.read_into(1, out)
    np.testing.assert_array_equal(out, pictures[1])


SHORT_OF_MEMORY = """
import os, resource, sys
from pathlib import Path
from mas_labels.errors import UnavailableError
from mas_labels.shards.reader import Shard

def read(shard, free):
    frames, jpegs = shard.read_frames(0), shard.read_jpegs(0)
    shard._stored_frames.read_jpegs = lambda clip: jpegs  # HDF5, too, needs memory
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    taken, size = [], 1 << 20
    resource.setrlimit(resource.RLIMIT_AS, (used, used))
    while size >= 4096:
        try:
            taken.append(bytearray(size))
        except MemoryError:
            size //= 2
    while free > 0:
        free -= len(taken.pop())
    try:
        shard.read_frames_into(0, frames)
    except UnavailableError as error:
        os.write(1, str(error).encode())

shard = Shard(sys.argv[1])
for kilobytes in (16, 32, 48):  # of which a frame has 64
    if os.fork() == 0:
        read(shard, kilobytes << 10)
        os._exit(0)
    assert os.wait()[1] == 0
"""


def test_a_decoder_without_memory_is_not_a_fault_of_the_shard(tmp_path):
    path = write_shard(tmp_path / "a.h5", frames="jpeg")
    command = [sys.executable, "-c", SHORT_OF_MEMORY, path]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown
    assert shown.stdout.startswith(f"{path}: cannot be read now (Cannot allocate memory): end other"), shown
