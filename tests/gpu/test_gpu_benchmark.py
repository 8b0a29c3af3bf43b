"""The benchmark of training on a GPU runs, with few steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mas_labels.shards import open_shards
from mas_train.recipe import Recipe

ROOT = Path(__file__).parents[2]


def test_tables_have_a_row_for_each_setting(
    tiny_shards: list[Path], recipe: Recipe, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import bench_gpu

    if device == "cpu":
        torch.set_num_threads(1)
        monkeypatch.setattr(bench_gpu, "WARM_UP_STEPS", 1)
    line = "--batch-sizes 4 --precisions TF32 --extras fused --workers 0 --seconds 0.01 --steps 2"
    options = bench_gpu.parse(["--device", device, *line.split()])
    place, shards = torch.device(device), open_shards(tiny_shards)
    table, rates = bench_gpu.step_table(shards, recipe, place, options)
    assert len(rates) == 3 and table.count("\n") == 4 and all(rate > 0 for rate in rates.values())
    chosen = bench_gpu.best_setting(rates, 4)
    kinds = {"raw": tiny_shards[0].parent}
    fed = bench_gpu.worker_table(kinds, recipe, chosen, rates[chosen], place, options)
    assert fed.count("\n") == 2 and "| raw | 0 | " in fed
    described = bench_gpu.describe(place, shards, ["python"])
    assert ("measures nothing" in described) == (
        device == "cpu"
    ) and "12 clips of 16 x 128 x 171" in described
