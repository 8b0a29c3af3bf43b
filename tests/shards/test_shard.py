"""Shards: written, read, refused when they are corrupt, and opened as one set."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.shards import VIEWS, frames_held, made_up_clip, write_shard

import mas_labels
from mas_labels import schema
from mas_labels.config import LabelConfig
from mas_labels.errors import ConfigError, DatasetError, ShardError
from mas_labels.labels.views import view_table
from mas_labels.shards.reader import Shard
from mas_labels.shards.writer import ShardWriter


@pytest.mark.parametrize("frames", ["raw", "jpeg"])
def test_data_is_read_as_it_was_written(tmp_path, frames):
    path = write_shard(tmp_path / "a.h5", frames=frames, store_flow=True, jpeg_quality=100)
    shards = mas_labels.open_shards(path)
    assert len(shards) == 2
    for index, clip in enumerate(shards):
        pictures, statistics, flow = made_up_clip(index)
        if frames == "raw":
            np.testing.assert_array_equal(clip.frames, pictures)
        else:
            assert clip.frames.shape == pictures.shape
        np.testing.assert_array_equal(clip.view_labels, statistics.labels)
        np.testing.assert_allclose(clip.motion_boundaries[0], statistics.mu, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(clip.motion_boundaries[1], statistics.mv, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(clip.flow, flow, rtol=1e-3, atol=1e-6)
        np.testing.assert_array_equal(clip.motion, statistics.motion)
        assert clip.labels == dict(zip(schema.LABEL_NAMES, statistics.labels[0].tolist(), strict=True))
        assert (clip.video, clip.start_frame, clip.class_name) == ("a/b é.avi", 16 * index, "jump é")
        named = ("a/b é.avi", "jump é", 1, ("train1", "test2"), "07", 32, 25.0, 2)
        assert clip.source == (*named, 4321, 240, 320)
    assert shards.failures == [("c.avi", "open", "cannot_open", "no stream")]
    np.testing.assert_array_equal(shards.views, VIEWS)
    assert "2 clips in 1 shards" in repr(shards)
    assert "a/b é.avi" in shards[1]._repr_html_()


def test_data_that_is_not_stored_is_none(tmp_path):
    clip = mas_labels.open_shards(write_shard(tmp_path / "a.h5", store_boundaries=False))[0]
    assert clip.motion_boundaries is None
    assert clip.flow is None


def test_frames_survive_jpeg_within_its_loss():
    """A coloured texture loses some of its colour, nothing else: mixed-up channels would differ far more."""
    from helpers.videos import moving_texture

    from mas_labels.shards.frames import decode_jpeg, encode_jpeg

    frame = moving_texture(1, 128, 171, 0, 0)[0]
    decoded = np.empty_like(frame)
    assert decode_jpeg(encode_jpeg(frame, 90), decoded)
    assert np.abs(decoded.astype(int) - frame).mean() < 6


def test_an_empty_shard_is_valid(tmp_path):
    with ShardWriter(tmp_path / "a.h5", LabelConfig(), {}, view_table(8), (), {}) as writer:
        writer.add_failure("c.avi", mas_labels.errors.VideoError("open", "cannot_open", "no stream"))
    shards = mas_labels.open_shards(tmp_path)
    assert (len(shards), len(shards.failures), shards.videos) == (0, 1, [])
    shards.shard(0).verify()


def test_the_schema_names_every_object_in_a_shard(tmp_path):
    path = write_shard(tmp_path / "a.h5", store_flow=True)
    stored = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: stored.append(name) if isinstance(item, h5py.Dataset) else None)
        assert set(file.attrs) == set(schema.ATTRIBUTES)
    columns = {column.path for column in schema.COLUMNS}
    assert set(stored) == columns - {"frames/raw", "videos/skipped_clips"}


def test_a_failed_write_leaves_nothing(tmp_path):
    with (
        pytest.raises(RuntimeError),
        ShardWriter(tmp_path / "a.h5", LabelConfig(), {}, VIEWS, (), {}) as writer,
    ):
        writer.add_clip(0, *made_up_clip(0))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_second_writer_is_refused_and_a_dead_writers_file_is_overwritten(tmp_path, monkeypatch):
    (tmp_path / ".a.h5.partial").write_bytes(b"left by a run that was killed")
    monkeypatch.setattr("mas_labels.system.files.WAIT_SECONDS", 0.2)
    with ShardWriter(tmp_path / "a.h5", LabelConfig(), {}, VIEWS, (), {}):
        with pytest.raises(ConfigError, match="another process is writing"):
            ShardWriter(tmp_path / "a.h5", LabelConfig(), {}, VIEWS, (), {})
        assert not (tmp_path / "a.h5").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_flipped_bits_are_detected(tmp_path):
    """A flip is detected when the shard is opened or verified, unless it is in unused bytes."""
    path = write_shard(tmp_path / "a.h5", clips=1)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    n_detected = 0
    for position in rng.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            with Shard(path) as shard:
                shard.verify()
        except ShardError:
            n_detected += 1
    assert n_detected >= 50  # nearly all of the file is data; the rest is padding of HDF5's own tables


def test_links_and_unknown_objects_are_refused(tmp_path):
    path = write_shard(tmp_path / "a.h5")
    for name, change in {
        "soft": lambda file: file.__setitem__("clips/soft", h5py.SoftLink("/views")),
        "external": lambda file: file.__setitem__("clips/mu2", h5py.ExternalLink("b.h5", "/views")),
        "group": lambda file: file.create_group("clips/more/deeper"),
        "unknown": lambda file: file.create_dataset("clips/extra", data=[1]),
    }.items():
        changed = shutil.copy(path, tmp_path / f"{name}.h5")
        with h5py.File(changed, "a") as file:
            change(file)
        with pytest.raises(ShardError, match=r"do not use it|not in the schema"):
            mas_labels.open_shards(changed)


def test_external_and_virtual_data_are_refused(tmp_path):
    path = write_shard(tmp_path / "a.h5")
    (tmp_path / "secret").write_bytes(bytes(1000))
    for name in ("external", "virtual"):
        changed = shutil.copy(path, tmp_path / f"{name}.h5")
        with h5py.File(changed, "a") as file:
            del file["clips/start_frame"]
            if name == "external":
                place = [(str(tmp_path / "secret"), 0, 8)]
                file.create_dataset("clips/start_frame", (2,), "uint32", external=place)
            else:
                layout = h5py.VirtualLayout((2,), "uint32")
                layout[:] = h5py.VirtualSource(path, "clips/start_frame", (2,))
                file.create_virtual_dataset("clips/start_frame", layout)
        with pytest.raises(ShardError, match="points to data outside"):
            mas_labels.open_shards(changed)


def test_impossible_sizes_are_refused(tmp_path):
    path = write_shard(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["frames/jpeg"].resize(10**12, axis=0)
    with pytest.raises(ShardError, match="claims 1000000000000 bytes that are not in the file"):
        mas_labels.open_shards(path)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("schema_version", 99, "version 99"),
        ("format", np.bytes_("other"), "found other"),
        ("plan", None, "missing"),
    ],
)
def test_another_format_or_version_is_refused(tmp_path, attribute, value, message):
    path = write_shard(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file.attrs[attribute]
        if value is not None:
            file.attrs[attribute] = value
    with pytest.raises(ShardError, match=message):
        mas_labels.open_shards(path)


@pytest.mark.parametrize("options", [{"clips": 4}, {"frames": "raw", "store_flow": True}])
def test_a_shard_is_the_same_while_its_data_sets_are_referenced(tmp_path, options):
    """A profiler that inspects stack frames, as dask's does, keeps data sets open a little longer."""
    plain = write_shard(tmp_path / "plain.h5", **options)
    with frames_held():
        held = write_shard(tmp_path / "held.h5", **options)
    assert held.read_bytes() == plain.read_bytes()


def test_offsets_out_of_range_are_refused(tmp_path):
    path = write_shard(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["frames/offsets"][5] = 10**9
    with pytest.raises(ShardError, match="are out of range"):
        _ = mas_labels.open_shards(path)[0].frames


@pytest.mark.parametrize(
    ("path", "value"), [("clips/video", 99), ("videos/class_index", 99), ("views", (500, 500, 7))]
)
def test_references_out_of_range_are_refused(tmp_path, path, value):
    changed = write_shard(tmp_path / "a.h5")
    with h5py.File(changed, "a") as file:
        file[path][0] = value
    with pytest.raises(ShardError, match=r"is out of range|leaves the frame"):
        mas_labels.open_shards(changed)


@pytest.mark.parametrize("is_cached", [True, False])
def test_labels_out_of_range_are_refused(tmp_path, monkeypatch, is_cached):
    monkeypatch.setattr("mas_labels.shards.reader.MAX_CACHED_LABEL_BYTES", 1 << 20 if is_cached else 0)
    path = write_shard(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        stored = file["clips/labels"][...]
        file["clips/labels"][1, 0, 0] = 200
    with Shard(path) as shard, pytest.raises(ShardError, match="label of clip 1 is out of range"):
        np.testing.assert_array_equal(shard.read_labels(0), stored[0])
        shard.read_labels(1)


@pytest.mark.parametrize("attribute", ["config", "plan", "versions"])
def test_attributes_that_are_not_json_objects_are_refused(tmp_path, attribute):
    path = write_shard(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file.attrs[attribute] = np.bytes_("[]")
    with pytest.raises(ShardError, match="expected a JSON object"):
        mas_labels.open_shards(path)


def test_shards_with_different_options_are_not_mixed(tmp_path):
    write_shard(tmp_path / "a.h5")
    write_shard(tmp_path / "b.h5", jpeg_quality=80)
    with pytest.raises(ShardError, match=r"different options \(jpeg_quality\)"):
        mas_labels.open_shards(tmp_path / "*.h5")


def test_a_set_is_one_sequence(tiny_shards, tmp_path):
    shards = mas_labels.open_shards(tiny_shards)
    assert (
        len(shards) == sum(shards.lengths) == sum(len(mas_labels.open_shards(path)) for path in tiny_shards)
    )
    last = shards[-1]
    assert last.index == len(shards) - 1
    assert [clip.index for clip in shards[1:3]] == [1, 2]
    with pytest.raises(IndexError):
        shards[len(shards)]
    again = pickle.loads(pickle.dumps(shards))
    np.testing.assert_array_equal(again[-1].frames, last.frames)
    shards.close()
    np.testing.assert_array_equal(again[-1].frames, last.frames)


def test_more_shards_than_open_files(tmp_path, monkeypatch):
    monkeypatch.setattr("mas_labels.shards.pool.MAX_OPEN_SHARDS", 2)
    for name in "abcdef":
        write_shard(tmp_path / f"{name}.h5", clips=1)
    shards = mas_labels.open_shards(tmp_path)
    assert [clip.start_frame for clip in shards] == [0] * 6
    assert len(shards._pool) == 4, "the minimum"


def _open_things() -> tuple[int, int]:
    """Return the number of HDF5's open objects, and of open files."""
    return h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL), len(list(Path("/proc/self/fd").iterdir()))


def test_a_closed_shard_leaves_nothing_open(tmp_path):
    """Closing takes one shard's objects, not a search through those of all; the others stay readable."""
    with Shard(write_shard(tmp_path / "a.h5")) as other:
        before = _open_things()
        shard = Shard(write_shard(tmp_path / "b.h5"))
        shard.read_labels(0)
        shard.read_frames(0)
        shard.close()
        shard.close()
        assert _open_things() == before
        for read in ("read_frames", "read_jpegs", "read_labels", "stored_bytes", "verify_content"):
            with pytest.raises(ShardError, match="is closed: open it again"):
                getattr(shard, read)(*[0] * read.startswith("read"))
        assert len(other.read("clips/video")) == 2


def test_an_existing_shard_is_never_overwritten(tmp_path):
    before = write_shard(tmp_path / "a.h5").read_bytes()
    with pytest.raises(ConfigError, match="written by another run meanwhile"):
        write_shard(tmp_path / "a.h5", clips=1)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_a_replaced_shard_is_detected(tmp_path):
    path = write_shard(tmp_path / "a.h5")
    shards = mas_labels.open_shards(path)
    write_shard(tmp_path / "b.h5", clips=1).replace(path)
    with pytest.raises(ShardError, match="replaced"):
        _ = shards[0].frames


def test_paths_without_shards_are_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"no shards match .*\*\.h5"):
        mas_labels.open_shards(tmp_path / "*.h5")
    with pytest.raises(DatasetError, match="no shards given"):
        mas_labels.open_shards([])
    (tmp_path / "a.h5").write_text("no HDF5")
    with pytest.raises(ShardError, match="not a readable HDF5 file"):
        mas_labels.open_shards(tmp_path / "a.h5")
