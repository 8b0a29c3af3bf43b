"""Attention maps by hand, and the pictures of protocols and of the page about a run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coloured import SMALL, run

from mas_labels.errors import InputError
from mas_labels.report.write import write_report
from mas_labels.shards.shard_set import ShardSet
from mas_train.cli.evaluate import main as eval_main
from mas_train.evaluation.accuracy import draw_confusion
from mas_train.evaluation.aslan import draw_roc
from mas_train.evaluation.attention import AttentionRow, attention_maps, draw_attention


def test_attention_is_the_sum_of_squares_resized() -> None:
    activations = torch.zeros(2, 3, 2, 4, 4)
    activations[0, 0, 0, 1, 2] = 3.0
    activations[0, 2, 1, 1, 2] = 4.0  # 9 + 16 at one place
    activations[0, 1, 1, 3, 0] = 1.0
    maps = attention_maps(activations, 4)
    expected = torch.zeros(4, 4)
    expected[1, 2], expected[3, 0] = 1.0, 1 / 25
    torch.testing.assert_close(maps[0], expected)
    assert not maps[1].any()
    large = attention_maps(activations, 112)
    assert large.shape == (2, 112, 112) and large[0].max() == 1
    row, col = divmod(int(large[0].argmax()), 112)
    assert (row // 28, col // 28) == (1, 2)
    with pytest.raises(InputError, match=r"found \(3, 2, 4, 4\)"):
        attention_maps(activations[0], 4)


def test_pictures_are_written_for_any_class_name(tmp_path: Path) -> None:
    draw_confusion(np.array([[2, 0, 1], [0, 0, 0]]), ["$x_", "vidéo"], tmp_path / "confusion.png")
    draw_roc({"ours": np.array([[0, 0], [0.2, 0.7], [1, 1.0]])}, tmp_path / "roc.png")
    frame, plain = np.zeros((112, 112, 3), np.uint8), np.zeros((112, 112), np.float32)
    rows = [AttentionRow("a$b", frame, plain, (plain, plain)), AttentionRow("b", frame, plain, None)]
    draw_attention(rows, tmp_path / "attention.png")
    for name in ("confusion", "roc", "attention"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_attention_is_drawn_with_and_without_boundaries(
    pretrained: Path, tiny_shards: list[Path], test: ShardSet, tmp_path: Path
) -> None:
    for name, shards in (("labels", tiny_shards), ("frames", test.paths)):
        out = tmp_path / f"{name}.png"
        args = ["--checkpoint", pretrained, "--shards", *shards, "--clip", 0, 1, "--out", out, *SMALL]
        assert run(eval_main, "attention", *args) == 0
        assert out.read_bytes().startswith(b"\x89PNG")


def test_pictures_of_the_page_are_drawn_into_the_runs_folder(
    pretrained: Path, train: ShardSet, test: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_folder = tmp_path / "a run"
    shutil.copytree(pretrained, run_folder)
    args = ["--run", run_folder, "--shards", *train.paths, "--clips", 2, *SMALL]
    assert run(eval_main, "look", *args) == 0
    assert (run_folder / "map.png").exists() and not (run_folder / "neighbours.png").exists()
    assert run(eval_main, "look", *args, "--queries", *test.paths) == 0
    assert f"mas-labels report --run '{run_folder}' --out" in capsys.readouterr().out
    write_report(None, tmp_path / "run.html", run_folder)
    page = (tmp_path / "run.html").read_text()
    assert page.count("data:image/png") == 3 and "mas-eval look" not in page
    assert re.search(
        r"<p>Each mark is a video.* features of 8 videos\. Two dimensions show only \d+% of the v", page
    )
