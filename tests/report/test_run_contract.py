"""The report reads the files of a training run as the trainer writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mas_labels.errors import DatasetError
from mas_labels.report.run_sections import REQUIRED_HELDOUT, REQUIRED_METRICS, run_sections
from mas_labels.schema import (
    HELDOUT_COLUMNS,
    HELDOUT_FILE,
    METRICS_COLUMNS,
    METRICS_FILE,
    NOISE_COLUMNS,
    PROBE_COLUMNS,
    RUN_CONFIG_FILE,
)

pytest.importorskip("torch")

from mas_train.evaluation.results import Result, save_result
from mas_train.runtime.csv_table import CsvTable


def test_the_report_asks_for_columns_of_the_contract() -> None:
    assert set(METRICS_COLUMNS) >= REQUIRED_METRICS
    assert set(HELDOUT_COLUMNS) >= REQUIRED_HELDOUT


def test_tables_and_results_of_the_trainer_are_read(tmp_path: Path) -> None:
    heldout = HELDOUT_COLUMNS + NOISE_COLUMNS
    for name, columns in ((METRICS_FILE, METRICS_COLUMNS + PROBE_COLUMNS), (HELDOUT_FILE, heldout)):
        table = CsvTable(tmp_path / name, columns)
        table.cut_back(0)
        table.append([["grid_ul" if column == "label" else "7" for column in columns]])
    figures = {"top-1": 0.25}
    result = Result("retrieval", "ucf101", "test1", figures, {"kind": "checkpoint"}, 4, 8, [], "mas-eval")
    save_result(result, tmp_path / "retrieval.json")
    page = "".join(run_sections(tmp_path))
    for text in (
        "7 steps",
        "The last row: 7 clips per second",
        "mean label gives 7",
        "at step 7",
        "the view moved by 7 pixels",
        "0.2500",
        "chance gives",
    ):
        assert text in page
    assert "chosen by" not in page  # a run without a configuration, or filters
    (tmp_path / RUN_CONFIG_FILE).write_text("recipe: [1, 2]")
    with pytest.raises(DatasetError, match=r"expected the configuration of a run in .*config\.yaml"):
        run_sections(tmp_path)
