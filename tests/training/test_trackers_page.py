"""The page about other trackers names the scalars that a run writes, and reads them as it says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mas_labels.schema import LABEL_KINDS, LABEL_NAMES, METRICS_COLUMNS, TOTAL_LABEL
from mas_labels.shards import ShardSet
from mas_train.recipe import make_recipe
from mas_train.training.metrics import read_metrics
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import pretrain

PAGE = Path(__file__).parents[2] / "docs" / "trackers.md"
STANDS_FOR = {"COLUMN": METRICS_COLUMNS[1:], "LABEL": (*LABEL_NAMES, *LABEL_KINDS, TOTAL_LABEL)}


def test_the_page_names_the_scalars_and_reads_their_points(
    small: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    shards = small.paths
    recipe = make_recipe("ucf101", width=1 / 32, fc_width=16, batch_size=4, holdout=0.3)
    how = TrainingOptions(shards, tmp_path / "runs" / "first", "cpu", workers=0, threads=1, curves=False)
    how = replace(how, max_steps=2, log_steps=1, tensorboard=True, probe_shards=shards)
    pretrain(recipe, how, str)
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(from tensorboard.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(block, found)
    named = re.findall(r"`(\w+/\w+)`", "".join(line for line in text.splitlines() if line.startswith("| `")))
    names = {
        f"{kind}/{name}"
        for kind, word in (each.split("/") for each in named)
        for name in STANDS_FOR.get(word, (word,))
    }
    assert {name for _, name, _ in found["points"]} == names
    losses = [(step, value) for step, name, value in found["points"] if name == "train/loss"]
    assert losses == [(row["step"], pytest.approx(row["loss"], rel=1e-5)) for row in read_metrics(how.out)]
