"""Files of features: parquet, npz, HDF5 and CSV, written from rows that need not fit into memory.

Every format has the same columns, those of `CLIP_COLUMNS` or `VIDEO_COLUMNS`, then `feature`, D numbers:

============  ============  ==============  ==========  ===========================  =========================
file          missing text  missing number  no feature  feature                      provenance
============  ============  ==============  ==========  ===========================  =========================
``.parquet``  null          null            null        list of float32              key of the metadata
``.npz``      empty         -1 or NaN       NaN         (rows, D) float32            array without dimensions
``.h5``       empty         -1 or NaN       NaN         (rows, D) float32            attribute of the file
``.csv``      empty         empty           empty       columns ``f0``, ``f1``, ...  none
============  ============  ==============  ==========  ===========================  =========================

Provenance is a JSON object: weights and their digest, layer, clips, recipe, versions. The same rows give the
same bytes.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ConfigError
from mas_labels.system.extras import load_extra

FAILURE_COLUMNS: Final[dict[str, type]] = {"stage": str, "code": str, "message": str}
CLIP_COLUMNS: Final[dict[str, type]] = {
    "video": str,
    "class": str,
    "start_frame": int,
    "end_frame": int,
    "start_seconds": float,
    "end_seconds": float,
    **FAILURE_COLUMNS,
}
"""Columns of a row a clip, and of one more for each video that failed, which has no feature.

`end_frame` is the frame after the clip's last, `end_seconds` its time; `stage`, `code` and `message` say why
a video could not be used, or not to its end.
"""
VIDEO_COLUMNS: Final[dict[str, type]] = {
    "video": str,
    "class": str,
    "clips": int,
    "seconds": float,
    **FAILURE_COLUMNS,
}
"""Columns of a row a video; `seconds` is the end of its last clip. Without clips it has no feature."""
COLUMNS: Final = {"clip": CLIP_COLUMNS, "video": VIDEO_COLUMNS}
BLOCK_ROWS: Final = 1024
"""Rows that are in memory at a time."""
MISSING: Final[dict[type, Any]] = {str: "", int: -1, float: np.nan}
"""Values of arrays where a row has none."""


@dataclass(frozen=True)
class FeatureTable:
    """The rows of a file of features.

    Attributes
    ----------
    columns
        Name of each column -> its values, None where a row has none.
    kinds
        Name of each column -> its type.
    features
        (n, D) float32, perhaps mapped from a file: of the rows that have one, in order.
    has_feature
        (rows,) bool.
    provenance
        Origin of the features, as JSON.
    """

    columns: Mapping[str, Sequence[Any]]
    kinds: Mapping[str, type]
    features: NDArray[np.float32]
    has_feature: NDArray[np.bool_]
    provenance: str

    @property
    def shape(self) -> tuple[int, int]:
        """Rows of the table, and numbers of a feature."""
        return len(self.has_feature), self.features.shape[1]

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield the features of `BLOCK_ROWS` rows at a time, NaN in those without one."""
        done = 0
        for start in range(0, len(self.has_feature), BLOCK_ROWS):
            rows = slice(start, min(start + BLOCK_ROWS, len(self.has_feature)))
            has = self.has_feature[rows]
            block = np.full((len(has), self.features.shape[1]), np.nan, np.float32)
            block[has] = self.features[done : done + has.sum()]
            done += int(has.sum())
            yield rows, block

    def array(self, name: str) -> NDArray[Any]:
        """Return a column as an array, with `MISSING` where a row has no value."""
        kind = self.kinds[name]
        values = [MISSING[kind] if value is None else value for value in self.columns[name]]
        return np.array(values, {str: np.str_, int: np.int64, float: np.float64}[kind])


def write_npz(path: Path, table: FeatureTable) -> None:
    """Write the arrays of `numpy.load`, uncompressed."""
    shape = {"descr": "<f4", "fortran_order": False, "shape": table.shape}
    with zipfile.ZipFile(path, "w") as archive:
        arrays = {"provenance": np.array(table.provenance)}
        for name, array in (arrays | {name: table.array(name) for name in table.kinds}).items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
        with archive.open("feature.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(file, shape)
            for _, block in table.blocks():
                file.write(block.astype("<f4").tobytes())


def write_hdf5(path: Path, table: FeatureTable) -> None:
    """Write an HDF5 file with a data set per column."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["provenance"] = table.provenance
        for name, kind in table.kinds.items():
            array = table.array(name)
            if kind is str:
                file.create_dataset(name, data=array.astype(object), dtype=h5py.string_dtype())
            else:
                file.create_dataset(name, data=array)
        feature = file.create_dataset("feature", table.shape, "<f4")
        for rows, block in table.blocks():
            feature[rows] = block


def write_parquet(path: Path, table: FeatureTable) -> None:
    """Write a parquet file, whose features are lists of D numbers."""
    import pyarrow as pa
    from pyarrow import parquet

    size = table.features.shape[1]
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    kinds = {name: types[kind] for name, kind in table.kinds.items()}
    # not of a fixed size: pyarrow 21 and earlier cannot read such lists where some are missing
    feature = {"feature": pa.list_(pa.float32())}
    schema = pa.schema(kinds | feature, metadata={"provenance": table.provenance})
    # pyarrow takes some paths for addresses, and none that is not UTF-8
    with path.open("wb") as file, parquet.ParquetWriter(file, schema) as writer:
        for rows, block in table.blocks():
            arrays = [pa.array(table.columns[name][rows], kinds[name]) for name in table.kinds]
            has = table.has_feature[rows]
            ends = pa.array(np.cumsum([0, *has * size], dtype=np.int32))
            numbers = pa.array(block[has].ravel())
            arrays.append(pa.ListArray.from_arrays(ends, numbers, mask=pa.array(~has)))
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def write_csv(path: Path, table: FeatureTable) -> None:
    """Write a table as text, with the fewest digits that give the same float32 again."""
    size = table.features.shape[1]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*table.kinds, *(f"f{number}" for number in range(size))])
        for rows, block in table.blocks():
            columns = [table.columns[name][rows] for name in table.kinds]
            numbers = zip(block, table.has_feature[rows], strict=True)
            texts = (row.astype(np.str_).tolist() if has else [""] * size for row, has in numbers)
            writer.writerows([*row, *text] for *row, text in zip(*columns, texts, strict=True))


WRITERS: Final[dict[str, Callable[[Path, FeatureTable], None]]] = {
    ".parquet": write_parquet,
    ".npz": write_npz,
    ".h5": write_hdf5,
    ".csv": write_csv,
}


def choose_writer(path: Path) -> Callable[[Path, FeatureTable], None]:
    """Return the writer of the format that a file's ending names.

    Raises
    ------
    ConfigError
        If there is no such format.
    MissingDependencyError
        If it needs pyarrow, which cannot be imported.
    """
    if path.suffix not in WRITERS:
        raise ConfigError(f"--out {path}: expected a file that ends in {', '.join(WRITERS)}")
    if path.suffix == ".parquet":
        load_extra("pyarrow.parquet", f"--out {path} needs", "parquet", ", or choose .npz, .h5 or .csv")
    return WRITERS[path.suffix]


def to_json(value: Any) -> str:
    """Return a value as JSON, the same for the same value."""
    return json.dumps(value, sort_keys=True, default=list)
