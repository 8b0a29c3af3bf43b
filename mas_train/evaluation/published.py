"""Published figures to compare with: the paper's tables 1 to 6, in percent."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple


class Row(NamedTuple):
    """One row of a published table."""

    method: str
    figures: tuple[float | None, ...]
    """One figure per column; None where the table has none."""
    ours: str | None = None
    """Key of our results in this row, see `mas_train.evaluation.results.row_key`; None if there are none."""


class Table(NamedTuple):
    """One published table."""

    title: str
    protocol: str
    columns: tuple[str, ...]
    """Names of data sets."""
    rows: tuple[Row, ...]


_RANDOM = "accuracy/scratch"

TABLES: Final = MappingProxyType(
    {
        1: Table(
            "Patterns of motion statistics",
            "accuracy",
            ("ucf101",),
            (
                Row("Random", (45.4,), _RANDOM),
                Row("Motion pattern 1", (53.8,), "accuracy/ucf101/motion-grid"),
                Row("Motion pattern 2", (53.2,), "accuracy/ucf101/motion-rings"),
                Row("Motion pattern 3", (54.2,), "accuracy/ucf101/motion-triangles"),
            ),
        ),
        2: Table(
            "Local and global motion statistics",
            "accuracy",
            ("ucf101",),
            (
                Row("Random", (45.4,), _RANDOM),
                Row("Motion global", (48.3,), "accuracy/ucf101/motion-global"),
                Row("Motion pattern all", (55.4,), "accuracy/ucf101/motion-local"),
                Row("Motion pattern all + global", (57.8,), "accuracy/ucf101/motion"),
            ),
        ),
        3: Table(
            "Supervision signals",
            "accuracy",
            ("ucf101", "hmdb51"),
            (
                Row("From scratch", (45.4, 19.7), _RANDOM),
                Row("Appearance", (48.6, 20.3), "accuracy/ucf101/appearance"),
                Row("Motion", (57.8, 29.95), "accuracy/ucf101/motion"),
                Row("Joint", (58.8, 32.6), "accuracy/ucf101/joint"),
            ),
        ),
        4: Table(
            "Self-supervised methods",
            "accuracy",
            ("ucf101", "hmdb51"),
            (
                Row("DrLim", (38.4, 13.4)),
                Row("TempCoh", (45.4, 15.9)),
                Row("Object Patch", (42.7, 15.6)),
                Row("Shuffle and Learn", (50.9, 19.8)),
                Row("VGAN", (52.1, None)),
                Row("OPN", (56.3, 22.1)),
                Row("Geometry", (55.1, 23.3)),
                Row("MAS, pre-trained on UCF101", (58.8, 32.6), "accuracy/ucf101/joint"),
                Row("ST-puzzle (Kinetics)", (60.6, 28.3)),
                Row("MAS, pre-trained on Kinetics-400", (61.2, 33.4), "accuracy/kinetics400/joint"),
            ),
        ),
        5: Table(
            "Action similarity",
            "aslan",
            ("aslan",),
            (
                Row("HOF", (56.68,)),
                Row("HOG", (59.78,)),
                Row("STIP", (60.9,)),
                Row("C3D, random initialisation", (51.7,), "aslan/scratch"),
                Row("C3D, trained from scratch with labels", (58.3,), "aslan/supervised"),
                Row("C3D, self-supervised", (59.4,), "aslan/self-supervised"),
                Row("C3D, fine-tuned after self-supervision", (62.3,), "aslan/fine-tuned"),
            ),
        ),
        6: Table(
            "Dynamic scenes",
            "yupenn",
            ("yupenn",),
            (
                Row("Feichtenhofer et al., hand-crafted features", (86.0,)),
                Row("Derpanis et al., hand-crafted features", (80.7,)),
                Row("Wang and Gupta", (70.47,)),
                Row("Shuffle and Learn", (76.67,)),
                Row("Geometry", (86.9,)),
                Row("C3D, random initialisation", (None,), "yupenn/scratch"),
                Row("MAS, pre-trained on UCF101", (90.2,), "yupenn/self-supervised"),
            ),
        ),
    }
)
"""The paper's tables. Accuracies are of test split 1 after fine-tuning on train split 1."""

TEST_VIDEOS: Final = MappingProxyType(
    {
        ("ucf101", "test1"): 3783,
        ("ucf101", "test2"): 3734,
        ("ucf101", "test3"): 3696,
        **{("hmdb51", f"test{number}"): 1530 for number in (1, 2, 3)},
        ("aslan", "all"): 3697,
        ("yupenn", "all"): 420,
    }
)
"""Number of videos of each whole test set; figures from fewer videos are shown as not comparable."""


def published_rows(protocol: str, dataset: str) -> list[tuple[str, float]]:
    """Return the published figures of a protocol on a data set: method and figure in percent."""
    figures: dict[str, float] = {}
    for table in TABLES.values():
        if table.protocol != protocol or dataset not in table.columns:
            continue
        for row in table.rows:
            figure = row.figures[table.columns.index(dataset)]
            if figure is not None and row.ours is not None:
                figures.setdefault(row.method, figure)
    return list(figures.items())
