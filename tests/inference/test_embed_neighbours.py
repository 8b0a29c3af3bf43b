"""The picture of neighbours that mas-embed draws, from videos and from shards."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.coloured import SMALL, run

from mas_labels.errors import ConfigError
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.shards import ShardSet
from mas_train.cli.embed import main
from mas_train.inference.feature_files import CLIP_COLUMNS, FeatureTable
from mas_train.inference.neighbours import draw_table, find_queries, mean_features, read_frames_of
from mas_train.inference.open_source import open_source
from mas_train.inference.options import SourceOptions

FAILURES = 3


def test_pictures_from_videos_and_from_raw_shards_are_the_same(
    tiny_videos: Path,
    raw_shards: ShardSet,
    pretrained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    query = "zoom out/#[é].mp4"
    for name, paths, more in (
        ("videos", tiny_videos, ["--query", tiny_videos / query, "--query", "pan/down.avi"]),
        (
            "shards",
            raw_shards.paths[0].parent,
            ["--query", query, "--query", "pan/down.avi", "--per", "video"],
        ),
    ):
        picture = tmp_path / f"{name}.png"
        args = [paths, "--weights", pretrained, "--out", tmp_path / f"{name}.npz", "--neighbours", picture]
        assert run(main, *args, *more, *SMALL) == FAILURES
        assert f"wrote {picture}\n" in capsys.readouterr().out
    assert (tmp_path / "videos.png").read_bytes() == (tmp_path / "shards.png").read_bytes()
    assert cv2.imread(str(tmp_path / "videos.png")).std() > 20


def test_queries_are_found_by_name_or_path_before_the_work(
    tiny_videos: Path, pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["a.avi", "pan/a.avi", "b.avi"]
    assert find_queries(names, ["pan/a.avi", "videos/pan/a.avi", "x/b.avi"]) == ["pan/a.avi"] * 2 + ["b.avi"]
    with pytest.raises(ConfigError, match=r"no video c.avi: names are such as a.avi, pan/a.avi"):
        find_queries(names, ["c.avi"])
    args = [tiny_videos, "--weights", pretrained, "--out", tmp_path / "f.npz", *SMALL]
    assert run(main, *args, "--query", "pan/down.avi") == 2
    assert "--query needs --neighbours" in capsys.readouterr().err
    assert run(main, *args, "--neighbours", tmp_path / "n.png", "--query", "absent.avi") == 1
    assert "no video absent.avi" in capsys.readouterr().err
    assert run(main, *args, "--neighbours", tmp_path / "absent" / "n.png") == 1
    assert "cannot write" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_features_of_a_video_are_the_mean_over_its_clips() -> None:
    columns = {name: [None] * 4 for name in CLIP_COLUMNS}
    columns |= {"video": ["b", "b", "failed", "a"], "class": ["x", "x", "x", None]}
    features, has = np.array([[1, 3], [3, 4], [0, 1]], np.float32), np.array([True, True, False, True])
    names, values, classes = mean_features(FeatureTable(columns, CLIP_COLUMNS, features, has, ""))
    assert (names, classes) == (["b", "a"], ["x", None])
    np.testing.assert_array_equal(values, [[2, 3.5], [0, 1]])


def test_of_a_long_video_only_the_beginning_is_decoded(
    tiny_videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source([tiny_videos], SourceOptions(clip_stride_frames=4), DEFAULT_GEOMETRY)
    names = {"pan/right.avi", "pan/down.avi", "zoom out/empty.mp4"}  # 5 clips, 5 clips, none
    whole = read_frames_of(source, names)
    assert whole.keys() == names - {"zoom out/empty.mp4"}
    monkeypatch.setattr("mas_train.inference.neighbours.MAX_CLIPS", 2)
    begun = read_frames_of(source, names)
    assert begun.keys() == whole.keys()
    assert all((begun[name] == whole[name]).all() for name in whole)


def test_what_cannot_be_drawn_is_told(tiny_videos: Path, tmp_path: Path) -> None:
    source = open_source([tiny_videos], SourceOptions(), DEFAULT_GEOMETRY)
    assert read_frames_of(source, {"zoom out/text.avi"}) == {}
    frame = read_frames_of(source, {"pan/slow.mp4"})["pan/slow.mp4"]
    assert frame.shape == (128, 171, 3) and frame.std() > 10
    columns = {name: [None] * 3 for name in CLIP_COLUMNS} | {
        "video": ["pan/right.avi", "pan/down.avi", "n\no"]
    }
    features = np.eye(3, dtype=np.float32)
    picture = tmp_path / "n.png"
    for has, lines in (
        ([True, False, False], [f"{picture} is not drawn: fewer than two videos have features"]),
        ([True, True, False], [f"{picture}: n\\no has no features", f"{picture} is not drawn"]),
    ):
        table = FeatureTable(columns, CLIP_COLUMNS, features[: sum(has)], np.array(has), "")
        assert draw_table(table, source, ["n\no"], picture) == lines and not picture.exists()
