"""Every format of features holds the same table, and says where it comes from."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest

from mas_train.inference import feature_files
from mas_train.inference.feature_files import CLIP_COLUMNS, WRITERS, FeatureTable, choose_writer
from mas_train.inference.feature_store import FeatureStore

HAS = np.array([True, True, False, True])
FEATURES = np.array([[0.1, 1e-30, -3], [2, 3, 4], [1 / 3, 0, 7]], np.float32)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> FeatureTable:
    """Return a table in blocks of two rows, with a row without a feature, and names that need care."""
    monkeypatch.setattr(feature_files, "BLOCK_ROWS", 2)
    columns = {
        "video": ["a,b.avi", 'ü "x".avi', "#c.avi", "d.avi"],
        "class": ["pan", None, "pan", None],
        "start_frame": [0, 16, None, 0],
        "end_frame": [16, 32, None, 16],
        "start_seconds": [0.0, 0.64, None, None],
        "end_seconds": [0.64, 1.28, None, None],
        "stage": [None, None, "open", None],
        "code": [None, None, "unreadable", None],
        "message": [None, None, "no video,\nnor sound", None],
    }
    return FeatureTable(columns, CLIP_COLUMNS, FEATURES, HAS, '{"layer": "mean"}')


def write(table: FeatureTable, path: Path) -> Path:
    """Write a table twice; the bytes are the same."""
    again = path.with_name(f"again{path.suffix}")
    for place in (path, again):
        choose_writer(place)(place, table)
    assert path.read_bytes() == again.read_bytes()
    return path


def check_arrays(arrays: dict[str, np.ndarray], table: FeatureTable) -> None:
    """Compare arrays of npz or HDF5 with the table."""
    np.testing.assert_array_equal(arrays["feature"][HAS], FEATURES)
    assert arrays["feature"].dtype == np.float32 and np.isnan(arrays["feature"][2]).all()
    assert arrays["start_frame"].tolist() == [0, 16, -1, 0]
    np.testing.assert_array_equal(arrays["end_seconds"], [0.64, 1.28, np.nan, np.nan])
    for name in ("video", "class", "stage", "code", "message"):
        assert arrays[name].tolist() == [text or "" for text in table.columns[name]]


def test_npz(table: FeatureTable, tmp_path: Path) -> None:
    with np.load(write(table, tmp_path / "f.npz")) as arrays:
        check_arrays(dict(arrays), table)
        assert str(arrays["provenance"]) == table.provenance


def test_hdf5(table: FeatureTable, tmp_path: Path) -> None:
    with h5py.File(write(table, tmp_path / "f.h5")) as file:
        arrays = {
            name: file[name].asstr()[:] if kind is str else file[name][:]
            for name, kind in CLIP_COLUMNS.items()
        }
        check_arrays({**arrays, "feature": file["feature"][:]}, table)
        assert file.attrs["provenance"] == table.provenance


def test_parquet(table: FeatureTable, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    read = parquet.read_table(write(table, tmp_path / "f.parquet"))
    for name, values in table.columns.items():
        assert read[name].to_pylist() == values
    found = read["feature"].to_pylist()
    assert found[2] is None
    np.testing.assert_array_equal(np.float32([row for row in found if row]), FEATURES)
    assert str(read.schema.field("feature").type) == "list<element: float>"
    assert read.schema.metadata[b"provenance"].decode() == table.provenance


def test_csv(table: FeatureTable, tmp_path: Path) -> None:
    with write(table, tmp_path / "f.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["video"] for row in rows] == table.columns["video"]
    assert rows[2]["message"] == "no video,\nnor sound" and rows[2]["f0"] == rows[2]["start_frame"] == ""
    numbers = [[row[f"f{n}"] for n in range(3)] for row in rows if row["f0"]]
    np.testing.assert_array_equal(np.array(numbers, np.float32), FEATURES)


def test_texts_that_are_no_unicode_are_escaped(tmp_path: Path) -> None:
    row = {"video": "caf\udce9/a.avi", "class": "caf\udce9", "message": "half a pair, \ud800"}
    for ending, write_format in WRITERS.items():
        with FeatureStore(tmp_path / f"f{ending}", {}, 1) as store:
            store.finish(row["video"], [row], failed=True)
            try:
                table = store.publish(write_format, CLIP_COLUMNS, "{}")
            except ImportError:
                assert ending == ".parquet"
                continue
        found = {name: table.columns[name][0] for name in row}
        assert found == {"video": "caf\\xe9/a.avi", "class": "caf\\xe9", "message": "half a pair, \\ud800"}
