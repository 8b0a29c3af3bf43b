"""Shards with different tables of classes, matched by class name when read, trained and tested together."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.coloured import COLOURS, SMALL, WIDTH, label_frames, run
from helpers.videos import moving_texture, write_video

from mas_labels.errors import DatasetError
from mas_labels.names import match_names, unite_classes
from mas_labels.report.summary import summarise
from mas_labels.shards.shard_set import open_shards
from mas_train.cli.evaluate import main as eval_main
from mas_train.cli.finetune import main as finetune_main
from mas_train.data.class_match import match_classes
from mas_train.data.few_labels import label_clips
from mas_train.data.holdout import hold_out


@pytest.mark.parametrize(
    ("names", "known", "places"),
    [
        (["b", "a"], ["a", "b"], [1, 0]),
        (["Walking Dog", "x"], ["walking_dog"], [0, -1]),
        (["Walk", "walk"], ["walk"], [-1, 0]),  # two classes are not made one
        (["WALK"], ["Walk", "walk"], [-1]),
        (["caf\u0065\u0301"], ["caf\u00e9"], [0]),
        ([], ["a"], []),
    ],
)
def test_names_are_matched_as_spelled_then_folded_if_that_is_clear(names, known, places):
    assert match_names(names, known) == places


def test_united_classes_begin_with_those_of_the_first_table():
    names, numbers = unite_classes([["b", "a"], ["c", "A", "b"], []])
    assert names == ["b", "a", "c"]
    assert [part.tolist() for part in numbers] == [[0, 1, -1], [2, 1, 0, -1], [-1]]


def coloured_video(path, name, seed):
    colour = np.array(COLOURS.get(name, (0.1, 1.0, 0.1)))
    frames = moving_texture(17, 60, 80, 1, 0, seed=seed).mean(axis=3, keepdims=True) * colour
    write_video(path, frames.astype(np.uint8))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Shards of blue and red; of Blue, red and another class; of others only."""
    root = tmp_path_factory.mktemp("folders")
    for kind, names in (("one", ("blue", "red")), ("two", ("Blue", "aqua", "red")), ("other", ("aqua",))):
        for place, name in enumerate(names):
            for number in range(2):
                path = root / kind / name / f"{kind}{number}.avi"
                coloured_video(path, name.lower(), 10 * place + number + 100 * len(kind + names[0]))
    (root / "two" / "aqua" / "broken.avi").write_text("no video")
    return {kind: label_frames(root / kind, root / f"{kind} shards") for kind in ("one", "two", "other")}


def test_shards_of_other_classes_are_one_set(folders, monkeypatch, tmp_path):
    paths = [*folders["one"].paths, *folders["two"].paths]
    monkeypatch.setenv("MAS_CACHE", str(tmp_path))
    monkeypatch.setattr("mas_labels.shards.cache.MIN_SHARDS", 2)
    for _ in range(2):  # the second time from the index
        shards = open_shards(paths)
        assert shards.classes == ["blue", "red", "aqua"]
        assert {
            (video.path.split("/")[0], video.class_name, video.class_index) for video in shards.videos
        } == {("blue", "blue", 0), ("red", "red", 1), ("Blue", "blue", 0), ("aqua", "aqua", 2)}
        assert {clip.class_name for clip in shards} == {"blue", "red", "aqua"}
        assert len(shards.where(class_name="blue")) == 4
        assert set(shards.clips.columns()["class_name"]) == {"blue", "red", "aqua"}
        assert summarise(shards).classes == {"blue": 4, "red": 4, "aqua": 2}
    assert open_shards(paths[::-1]).classes == ["aqua", "Blue", "red"]
    taken = label_clips(shards, 1.0, 0)
    assert [shards[int(clip)].class_name for clip in taken.clips] == [
        shards.classes[n] for n in taken.classes
    ]
    kept, held = hold_out(shards, 0.5, 0)
    assert {clip.class_name for part in (kept, held) for clip in part} == {"blue", "red", "aqua"}


def test_test_classes_are_matched_by_name_and_unknown_ones_reported(folders):
    match = match_classes(["red", "blue"], folders["two"])
    assert folders["two"].classes == ["aqua", "Blue", "red"]
    assert match.numbers.tolist() == [-1, 1, 0, -1]
    assert match.left_out == {"aqua": 3}  # the broken one included
    (line,) = match.warnings()
    assert "3 test videos of 1 classes without training videos are left out: 'aqua'" in line
    with pytest.raises(DatasetError, match="none of the classes of the test videos"):
        match_classes(["red", "blue"], folders["other"])
    with pytest.raises(DatasetError, match="the training videos have no classes"):
        match_classes([], folders["two"])


def test_a_test_without_classes_is_refused_before_the_training(folders, tmp_path, capsys):
    coloured_video(tmp_path / "flat" / "1.avi", "red", 5)
    label_frames(tmp_path / "flat", tmp_path / "flat shards")
    words = ["--init", "scratch", "--width", "0.0625", "--batch-size", "2", "--epochs", "1"]
    words += ["--shards", str(folders["one"].paths[0].parent), "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit, match="1"):
        finetune_main([*words, "--test-shards", str(tmp_path / "flat shards")])
    assert "the test videos in" in capsys.readouterr().err and not (tmp_path / "run").exists()


def result(folder, protocol):
    return json.loads((folder / f"{protocol}.json").read_text())


def test_a_model_is_tested_on_shards_of_other_classes(folders, tmp_path, capsys):
    """Colours tell the classes apart, so that a wrong number of a class would be seen."""
    out = tmp_path / "out"
    schedule = ["--epochs", 20, "--schedule", "cosine", "--batch-size", 2, "--lr", 0.02, "--dropout", 0]
    options = ["--width", WIDTH, "--fc-width", 32, *schedule, *SMALL]
    given = ["--shards", *folders["one"].paths, "--test-shards", *folders["two"].paths]
    assert run(finetune_main, *given, "--init", "scratch", *options, "--out", out) == 0
    captured = capsys.readouterr()
    assert captured.err.count("warning: 3 test videos of 1 classes") == 1
    assert "warning: 3 test videos of 1 classes without training videos are left out" in captured.out
    saved = result(out, "accuracy")
    assert saved["figures"]["top-1"] == 1.0
    assert (saved["videos"], saved["clips"], saved["failed"]) == (4, 4, [])
    assert saved["details"]["classes"] == ["blue", "red"]
    assert saved["details"]["left_out"] == {"aqua": 3}
    assert saved["details"]["confusion"] == [[2, 0, 0], [0, 2, 0]]


@pytest.mark.parametrize("turned", [False, True])
def test_frozen_protocols_match_classes_by_name(folders, tmp_path, turned):
    train, test = (folders[kind].paths for kind in (("two", "one") if turned else ("one", "two")))
    common = [
        "--checkpoint",
        "scratch",
        "--features",
        "pixels",
        "--no-baseline",
        *SMALL,
        "--out",
        tmp_path / "r",
    ]
    assert run(eval_main, "retrieval", "--gallery", *train, "--shards", *test, *common) == 0
    assert run(eval_main, "probe", "--train", *train, "--shards", *test, *common, "--few", "100%") == 0
    for protocol, figure in (("retrieval", "top-1"), ("probe", "accuracy")):
        saved = result(tmp_path / "r", protocol)
        assert (saved["figures"][figure], saved["videos"], saved["failed"]) == (1.0, 4, [])
        assert saved["details"]["left_out"] == ({} if turned else {"aqua": 3})
