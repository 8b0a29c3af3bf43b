"""Clips and their labels, without frames, as a table in parquet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.names import as_unicode
from mas_labels.schema import LABEL_NAMES
from mas_labels.shards.reader import Shard

METADATA_KEY: Final = "mas_labels"
"""Key of the schema's metadata: a JSON object about the shard."""


def write_table(
    path: Path,
    shard: Shard,
    rows: NDArray[np.int64],
    columns: Mapping[str, NDArray[Any]],
    all_views: bool,
    about: Mapping[str, Any],
) -> None:
    r"""Write some clips of a shard.

    Parameters
    ----------
    path
        The file.
    shard, rows
        The shard, and the rows of its clips.
    columns
        Their table, one value per clip and column.
    all_views
        Whether a label's column holds lists, one value per view, instead of the value of the centre view.
    about
        Object for the schema's metadata.

    Notes
    -----
    Names that are not UTF-8, which parquet's texts must be, have ``\xff`` for the byte 255.
    """
    import pyarrow
    from pyarrow import parquet

    texts = pyarrow.string()
    kinds = {"video": texts, "class_name": texts, "group": texts, "splits": pyarrow.list_(texts)}
    arrays = {
        name: pyarrow.array([_as_unicode(value) for value in values], kinds[name])
        if name in kinds
        else values
        for name, values in columns.items()
    }
    if len(shard.views):
        labels = shard.read("clips/labels")[rows]  # (n, V, 27)
        for number, name in enumerate(LABEL_NAMES):
            arrays[name] = _label_column(labels[:, :, number]) if all_views else labels[:, 0, number]
    table = pyarrow.table(arrays)
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(about)})
    with path.open("wb") as file:  # pyarrow takes some paths for addresses, and none that is not UTF-8
        parquet.write_table(table, file)


def _label_column(labels: NDArray[np.uint8]) -> Any:
    """Return one label of all views (n, V) as an array of lists of V values."""
    import pyarrow

    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(labels.ravel()), labels.shape[1])


def _as_unicode(value: Any) -> Any:
    """Return a text, or some, as valid Unicode; None stays."""
    if isinstance(value, tuple):
        return [as_unicode(text) for text in value]
    return value if value is None else as_unicode(value)
