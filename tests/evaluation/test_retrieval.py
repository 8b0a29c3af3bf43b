"""Nearest-neighbour retrieval, against a naive loop, and by the command."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.coloured import SMALL, run
from hypothesis import given, settings
from hypothesis import strategies as st

from mas_labels.shards.shard_set import ShardSet
from mas_train.cli.evaluate import main as eval_main
from mas_train.evaluation.results import read_results
from mas_train.evaluation.retrieval import NEIGHBOURS, retrieved_classes


def test_retrieval_of_planted_directions() -> None:
    """Each class is one direction, so lengths do not matter; a third class is not in the gallery."""
    gallery = np.array([[9.0, 0.1], [1, 0], [0, 3], [0.1, 8]])
    found = retrieved_classes(
        gallery, np.array([0, 0, 1, 1]), np.array([[0.01, 0], [0, 100.0], [1, 0]]), np.array([0, 1, 2])
    )
    assert {k: hits.tolist() for k, hits in found.items()} == {"top-1": [True, True, False]}


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 70), st.integers(1, 20), st.integers(2, 6))
def test_retrieval_equals_a_naive_loop(seed: int, gallery: int, queries: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    g, q = rng.uniform(0, 1, (gallery, 5)), rng.uniform(0, 1, (queries, 5))
    gc, qc = rng.integers(0, classes, gallery), rng.integers(0, classes, queries)
    hits: dict[int, list[bool]] = {k: [] for k in NEIGHBOURS if k == 1 or k < gallery}
    of_ten = []
    for vector, query_class in zip(q, qc, strict=True):
        cosines = [float(v @ vector / math.sqrt((v @ v) * (vector @ vector))) for v in g]
        order = sorted(range(gallery), key=lambda i: -cosines[i])
        for k, found in hits.items():
            found.append(any(gc[i] == query_class for i in order[:k]))
        of_ten.append(np.mean([gc[i] == query_class for i in order[:10]]))
    retrieved = retrieved_classes(g, gc, q, qc)
    precision = retrieved.pop("precision at 10", None)
    assert {name: found.tolist() for name, found in retrieved.items()} == {
        f"top-{k}": h for k, h in hits.items()
    }
    assert (precision is None) == (gallery <= 10)
    assert precision is None or precision.mean(axis=0) == pytest.approx(of_ten)


def test_retrieval_command_finds_videos_of_the_same_colour(
    pretrained: Path, train: ShardSet, test: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--checkpoint", pretrained, "--shards", *test.paths, "--gallery", *train.paths]
    out = tmp_path / "results"
    assert run(eval_main, "retrieval", *args, "--out", out, *SMALL) == 0
    (result,) = read_results([out])
    assert result.figures == dict.fromkeys(("top-1", "top-5"), 4 / 5)  # of 9 videos
    assert "left out: top-10, top-20, top-50; the gallery has 8 videos" in capsys.readouterr().out
    assert result.random_initialisation.keys() == result.figures.keys()
    cached = sorted((tmp_path / "features").iterdir())
    assert len(cached) == 4  # two sets of shards, two sets of weights
    times = [path.stat().st_mtime_ns for path in cached]
    assert run(eval_main, "retrieval", *args, "--out", tmp_path / "again", *SMALL) == 0
    assert sorted((tmp_path / "features").iterdir()) == cached
    assert [path.stat().st_mtime_ns for path in cached] == times
    picture = cv2.imread(str(out / "neighbours.png"))
    assert picture.shape[1] > 1000 and picture.std() > 20
