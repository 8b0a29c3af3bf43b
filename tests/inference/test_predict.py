"""Class scores of videos: equal to those of mas-eval to the bit, as a table, as JSON, and as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from helpers.coloured import CPU, SMALL, label_frames, run

from mas_labels.errors import InputError
from mas_labels.shards import Failure, ShardSet
from mas_train.cli.export import main as export_main
from mas_train.cli.finetune import main as finetune_main
from mas_train.cli.predict import main as predict_main
from mas_train.evaluation.accuracy import score_videos
from mas_train.evaluation.features import Extraction
from mas_train.evaluation.protocol import Evaluation
from mas_train.inference.predict import VideoScores, score_source
from mas_train.inference.prediction_table import describe_video, predictions_as_table
from mas_train.inference.score_plot import draw_scores
from mas_train.inference.sources import ClipPlace, ShardSource
from mas_train.weights.backbone_weights import describe_unfinished, load_classifier, load_weights


@pytest.fixture(scope="module")
def tuned(pretrained: Path, train: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run fine-tuned to tell blue from red."""
    out = tmp_path_factory.mktemp("tuned")
    options = ["--fc-width", 32, "--dropout", 0, "--lr", 0.02, "--epochs", 5, "--batch-size", 3, *SMALL]
    assert run(finetune_main, "--init", pretrained, "--shards", *train.paths, "--out", out, *options) == 0
    return out


@pytest.fixture(scope="module")
def videos(test: ShardSet) -> Path:
    """Five videos in two class folders, one of which is broken."""
    return test.paths[0].parents[1] / "videos"


@pytest.fixture(scope="module")
def raw(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Shards of these videos that hold their frames as they are."""
    return label_frames(videos, tmp_path_factory.mktemp("raw") / "shards", frames="raw")


def predictions(tuned: Path, out: Path, *args: object) -> dict[str, dict]:
    """Run mas-predict on videos of which one is broken; return what it wrote, by video."""
    assert run(predict_main, *args, "--weights", tuned, "--out", out, *SMALL) == 3
    content = json.loads(out.read_text())
    assert content["format"] == "mas-predictions" and content["weights"] == str(tuned)
    return {row["video"]: row for row in content["videos"]}


def scores_of(row: dict) -> dict[str, float]:
    return {entry["class"]: entry["score"] for entry in row["top"]}


def test_scores_of_videos_and_of_shards_equal_those_of_accuracy_to_the_bit(
    tuned: Path, videos: Path, raw: ShardSet, tmp_path: Path
) -> None:
    weights = load_weights(tuned)
    evaluation = Evaluation(weights, Extraction(CPU, 0, batch_size=4), tmp_path, "")
    expected = score_videos(evaluation, weights, raw)
    of_videos = predictions(tuned, tmp_path / "v.json", videos, "--batch-size", 3, "--clips")
    of_shards = predictions(tuned, tmp_path / "s.json", *raw.paths, "--batch-size", 1, "--clips")
    classes = weights.content["classes"]
    for name, row in zip(expected.paths, expected.values, strict=True):
        assert scores_of(of_videos[name]) == dict(zip(classes, map(float, row), strict=True))
    assert of_videos.keys() == {*expected.paths, "red/9999.avi"}
    for row in (*of_videos.values(), *of_shards.values()):
        row.pop("class"), row.pop("failure")
    assert of_videos == of_shards


def test_a_videos_score_is_the_mean_over_its_clips_and_their_times_are_given(
    tuned: Path, videos: Path, tmp_path: Path
) -> None:
    rows = predictions(tuned, tmp_path / "p.json", videos, "--clips", "--clip-stride", 8)
    clips = rows["blue/0101.avi"]["clip_scores"]  # 33 frames at 25 per second
    assert [(clip["start_frame"], clip["end_frame"]) for clip in clips] == [(0, 16), (8, 24), (16, 32)]
    assert [(clip["start_seconds"], clip["end_seconds"]) for clip in clips][1] == (8 / 25, 24 / 25)
    mean = np.mean([scores_of(clip)["blue"] for clip in clips])
    assert scores_of(rows["blue/0101.avi"])["blue"] == pytest.approx(mean, rel=1e-6)
    assert all(sum(scores_of(clip).values()) == pytest.approx(1, rel=1e-6) for clip in clips)
    broken = rows["red/9999.avi"]
    assert broken["top"] == broken["clip_scores"] == [] and broken["failure"]["stage"] == "open"


def test_the_table_names_classes_failures_and_times(
    tuned: Path, videos: Path, raw: ShardSet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(predict_main, *raw.paths, "--weights", tuned, "--top", 1, "--clips", *SMALL) == 3
    head, first, clip, *_, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["video", "clips", "class", "predicted"]
    name, count, true_class, score, predicted = first.split()
    assert (name, count, true_class, predicted) == ("blue/0101.avi", "2", "blue", "blue")
    assert 0.5 < float(score) < 1
    assert clip.split()[:4] == ["0.00", "to", "0.64", "s"] and clip.split()[-1] == "blue"
    assert last.split()[:4] == ["red/9999.avi", "0", "red", "failed:"] and "open/" in last
    single = videos / "blue" / "0102.avi"
    assert run(predict_main, single, "--weights", tuned, "--pixel-mean", 0, 0, 0, *SMALL) == 0
    assert "0102.avi" in capsys.readouterr().out


def test_scores_over_time_are_drawn_and_a_limit_is_told(
    tuned: Path,
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plot = tmp_path / "plot.png"
    monkeypatch.setattr("mas_train.inference.score_plot.MAX_PANELS", 2)
    assert run(predict_main, videos / "blue", "--weights", tuned, "--plot", plot, *SMALL) == 0
    assert capsys.readouterr().err.endswith(f"wrote {plot}\n")
    assert run(predict_main, videos, "--weights", tuned, "--plot", plot, *SMALL) == 3
    assert capsys.readouterr().err.endswith(f"wrote {plot}: 1 of 4 videos, evenly spread\n")
    assert cv2.imread(str(plot)).std() > 10
    broken = videos / "red" / "9999.avi"
    assert run(predict_main, broken, "--weights", tuned, "--plot", tmp_path / "no.png", *SMALL) == 3
    assert "is not drawn" in capsys.readouterr().err and not (tmp_path / "no.png").exists()


def test_a_weights_folder_scores_as_its_run_and_an_unfinished_run_is_told(
    tuned: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(export_main, tuned, "--out", tmp_path / "weights") == 0
    tables = []
    for weights in (tuned, tmp_path / "weights"):
        capsys.readouterr()
        assert run(predict_main, videos / "blue", "--weights", weights, *SMALL) == 0
        output = capsys.readouterr()
        tables.append(output.out)
        assert "not finished" not in output.err
    assert tables[0] == tables[1]
    stopped = load_weights(tuned)
    assert describe_unfinished(stopped) == []
    stopped.content["epoch"] = 4  # type: ignore[index]
    assert describe_unfinished(stopped) == [
        f"note: {tuned} is not finished, 4 of 5 epochs: mas-finetune --resume"
    ]


def test_mistakes_are_one_line_before_the_work(
    tuned: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for args, message in (
        (["--weights", tuned], "found neither"),
        ([videos, "--weights", tuned, "--out", tmp_path], "Is a directory"),
        ([videos, "--weights", tuned, "--plot", tmp_path / "a" / "b.png"], "cannot write"),
        ([videos, "--weights", tuned, "--fps", "fast"], "fps"),
    ):
        capsys.readouterr()
        assert run(predict_main, *args, *SMALL) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def scored(name: str, scores: list[list[float]], seconds: float = 0.64, frames: int = 16) -> VideoScores:
    """Return scores of a video whose clips follow one another."""
    places = [
        ClipPlace(name, frames * n, frames * (n + 1), seconds * n, seconds * (n + 1))
        for n in range(len(scores))
    ]
    rows = np.array(scores, np.float32)
    return VideoScores(name, None, rows.mean(axis=0), places, rows, None)


HOSTILE = ["$\\frac_", "_hidden", "a\nb", "\u6f22\u5b57", "x" * 300, "\udcff", "tie", "last"]


def test_tables_and_pictures_of_any_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    videos = [scored(name, rng.dirichlet(np.ones(8), 1 + 40 * n)) for n, name in enumerate(HOSTILE)]
    videos += [scored("frames", rng.dirichlet(np.ones(8), 3), seconds=float("nan"))]
    draw_scores(videos, HOSTILE, 9, tmp_path / "hostile.png")
    assert cv2.imread(str(tmp_path / "hostile.png")).std() > 10
    failure = Failure("a\nb", "decode", "damaged", "no\nframes")
    part = SimpleNamespace(**{**vars(videos[2]), "failure": failure})
    rows = [describe_video(video, HOSTILE, 3, with_clips=True) for video in (*videos[-1:], part)]
    table = predictions_as_table(rows).splitlines()
    assert len(table) == 1 + 1 + 3 + 1 + 81
    assert "  frames 16 to 31" in table[3]
    assert "a\\nb" in table[5] and table[5].endswith("not all of it: decode/damaged: no\\nframes")
    json.dumps(rows, allow_nan=False)


def test_equal_scores_rank_by_number_and_diverged_ones_are_refused(tuned: Path, raw: ShardSet) -> None:
    row = describe_video(scored("a", [[0.25, 0.5, 0.25]]), ["x", "y", "z"], 9, with_clips=False)
    assert [entry["class"] for entry in row["top"]] == ["y", "x", "z"]
    weights = load_weights(tuned)
    model = load_classifier(weights)
    next(model.head.parameters()).data.fill_(float("nan"))
    with pytest.raises(InputError, match="diverged"):
        list(score_source(weights, model, ShardSource(raw), 4, 0, CPU))
