"""Errors that newcomers make: one line that names what was found and the remedy, from every command."""

from __future__ import annotations

import importlib
import shlex
import shutil
import sys
from pathlib import Path

import h5py
import pytest
from helpers.coloured import SMALL, run
from helpers.commands import mas
from helpers.geometries import small_shards
from helpers.videos import moving_texture, write_video

from mas_train.cli.evaluate import main as evaluate_main

MODULES = {
    "mas-labels": "mas_labels.cli.main",
    "mas-train": "mas_train.cli.pretrain",
    "mas-finetune": "mas_train.cli.finetune",
    "mas-eval": "mas_train.cli.evaluate",
    "mas-export": "mas_train.cli.export",
    "mas-embed": "mas_train.cli.embed",
    "mas-predict": "mas_train.cli.predict",
}
LABEL_THEM = "mas-labels make --manifest folder --root"
WEIGHTS = "name a run's folder"
MISTAKES = {
    # a video, or videos, instead of shards
    "mas-train --shards videos/": ("found videos", f"{LABEL_THEM} videos/"),
    "mas-train --shards clip.avi": ("found a video", LABEL_THEM),
    "mas-train --shards videos/pan/*.avi": ("found a video", LABEL_THEM),
    "mas-train --shards shards --val-shards videos": ("found videos", f"{LABEL_THEM} videos"),
    "mas-finetune --init runs/first --shards videos": ("found videos", f"{LABEL_THEM} videos"),
    "mas-finetune --init runs/first --shards shards --test-shards clip.avi": ("found a video", LABEL_THEM),
    "mas-eval accuracy --checkpoint runs/tuned --shards videos": ("found videos", LABEL_THEM),
    "mas-eval retrieval --checkpoint runs/first --gallery videos --shards shards": ("videos", LABEL_THEM),
    "mas-eval probe --checkpoint runs/first --train shards --shards clip.avi": ("a video", LABEL_THEM),
    "mas-eval look --run runs/first --shards videos": ("found videos", LABEL_THEM),
    "mas-eval attention --checkpoint runs/first --shards videos": ("found videos", LABEL_THEM),
    "mas-labels report videos --out page.html": ("found videos", LABEL_THEM),
    "mas-labels inspect clip.avi --out clip.png": ("found a video", LABEL_THEM),
    "mas-labels verify videos": ("found videos", LABEL_THEM),
    "mas-labels failures clip.avi": ("found a video", LABEL_THEM),
    "mas-labels export clip.avi --format parquet --out tables": ("found a video", LABEL_THEM),
    # weights instead of shards, shards instead of weights
    "mas-train --shards runs/first": ("found weights", "the folder of the labels"),
    "mas-finetune --init runs/first --shards runs/first": ("found weights", "the folder of the labels"),
    "mas-labels report runs/first --out page.html": ("found weights", "the folder of the labels"),
    "mas-train --shards features.h5": ("not a shard", "the files that `mas-labels make` wrote"),
    "mas-finetune --init shards --shards shards": ("found shards", "mas-train --shards shards"),
    "mas-eval accuracy --checkpoint shards --shards shards": ("found shards", "mas-train --shards shards"),
    "mas-eval look --run shards --shards shards": ("found shards", "mas-train --shards shards"),
    "mas-export shards": ("found shards", "mas-train --shards shards"),
    # videos instead of weights, or of a folder
    "mas-finetune --init clip.avi --shards shards": ("found a video", WEIGHTS),
    "mas-finetune --init videos --shards shards": ("found videos", WEIGHTS),
    "mas-eval probe --checkpoint clip.avi --shards shards": ("found a video", WEIGHTS),
    "mas-export clip.avi": ("found a video", WEIGHTS),
    "mas-labels make --manifest folder --root clip.avi --out out": ("found a video", "folder that it is in"),
    "mas-labels list --manifest folder --root clip.avi": ("found a video", "folder that it is in"),
    "mas-labels report --run clip.avi --out page.html": ("no such file", "the --out of mas-train"),
    "mas-labels report --run videos --out page.html": ("no such file", "the --out of mas-train"),
    "mas-embed videos --weights clip.avi --out f.npz": ("found a video", WEIGHTS),
    "mas-predict videos --weights clip.avi": ("found a video", WEIGHTS),
    "mas-embed videos --weights shards --out f.npz": ("found shards", "mas-train --shards shards"),
    "mas-predict videos --weights shards": ("found shards", "mas-train --shards shards"),
    "mas-embed videos --weights runs --out f.npz": ("a folder of such folders", "such as runs/first"),
    "mas-predict videos --weights runs/tuned --plot p.jpg": ("p.jpg", "ends in .png"),
    "mas-embed runs/first --weights runs/first --out f.npz": ("found 1 .csv", "Check the path"),
    "mas-embed videos --weights runs/first --out f.xyz": ("f.xyz", ".parquet, .npz, .h5, .csv"),
    # a run that is not finished
    "mas-embed videos --weights runs/started --out f.npz": ("a run without weights", "start it again"),
    "mas-predict videos --weights runs/started": ("a run without weights", "start it again"),
    "mas-finetune --init runs/started --shards shards": ("a run without weights", "start it again"),
    "mas-eval retrieval --checkpoint runs/started --gallery shards --shards shards": ("a run", "start it"),
    "mas-export runs/started": ("a run without weights", "start it again"),
    "mas-train --shards shards --out runs/first": ("already holds a run", "--resume"),
    "mas-train --shards shards --out runs/absent --resume": ("no checkpoint", "leave --resume out"),
    # no classes, no labels, no groups
    "mas-eval accuracy --checkpoint runs/first --shards shards": ("no classes", "mas-finetune --init runs/"),
    "mas-predict videos --weights runs/first": ("no classes", "mas-finetune --init runs/"),
    "mas-eval accuracy --checkpoint runs/tuned --shards flat": ("no classes", "folders of classes"),
    "mas-finetune --init runs/first --shards flat": ("no classes", "label class folders"),
    "mas-eval probe --checkpoint runs/first --shards shards": ("without one", "--train"),
    "mas-train --shards flat": ("frames without labels", "without --frames-only"),
    # another geometry
    "mas-eval accuracy --checkpoint runs/tuned --shards small": ("found 8 frames", "label the test"),
    "mas-predict small --weights runs/tuned": ("found 8 frames", "label the test"),
    "mas-train --shards shards small": ("different options (", "read them separately"),
    # a run's file of another command
    "mas-finetune --config runs/first/config.yaml": ("is of mas-train", "run mas-train --config"),
    "mas-train --config clip.avi": ("is not YAML", "the config.yaml of a run"),
    # nothing there
    "mas-embed absent --weights runs/first --out f.npz": ("found nothing", "Check the path"),
    "mas-predict videos --weights runs/absent": ("No such file", "check the path"),
    "mas-train --shards absent": ("found nothing", "check the path"),
    "mas-finetune --init runs/absent --shards shards": ("No such file", "check the path"),
}  # fmt: skip
"""Command -> words that its only line of error has: what was found, and the remedy."""


@pytest.fixture(scope="module")
def folder(
    pretrained: Path, finetuned: Path, tiny_shards: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A newcomer's folder: videos, shards, and runs of every kind."""
    root = tmp_path_factory.mktemp("newcomer")
    for name, u in (("pan/a.avi", 1), ("zoom/b.avi", -1)):
        write_video(root / "videos" / name, moving_texture(17, 60, 80, u, 0))
    shutil.copy(root / "videos" / "pan" / "a.avi", root / "clip.avi")
    shutil.copytree(pretrained, root / "runs" / "first", symlinks=True)
    (root / "shards").mkdir()
    for path in tiny_shards:
        shutil.copy(path, root / "shards")
    small_shards(root / "videos", root / "small")
    flat = ("--root", root / "videos" / "pan", "--out", root / "flat", "--frames-only", "--workers", 1)
    assert mas("make", "--manifest", "folder", *flat).exit_code == 0
    with h5py.File(root / "features.h5", "w") as file:
        file["features"] = [0.0]
    (root / "runs" / "started" / "checkpoints").mkdir(parents=True)
    (root / "runs" / "started" / "config.yaml").touch()
    shutil.copytree(finetuned, root / "runs" / "tuned")
    return root


@pytest.mark.parametrize("line", MISTAKES)
def test_one_line_names_what_was_found_and_the_remedy(
    line: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    program, *words = shlex.split(line)
    arguments = [n for word in words for n in (sorted(Path().glob(word)) if "*" in word else [word])]
    before = files(folder)
    capsys.readouterr()
    assert run(importlib.import_module(MODULES[program]).main, *arguments) == 1
    (error,) = capsys.readouterr().err.splitlines()
    for said in MISTAKES[line]:
        assert said in error
    assert files(folder) == before, "the mistake left files behind"


def test_parquet_without_pyarrow_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mas_train.cli.embed import main

    monkeypatch.chdir(folder)
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    capsys.readouterr()
    assert run(main, "videos", "--weights", "runs/first", "--out", "f.parquet", *SMALL) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert 'pip install "mas-video[parquet]"' in error and ".npz" in error
    assert not Path("f.parquet").exists()


@pytest.mark.parametrize("protocol", ["probe", "yupenn"])
def test_a_protocol_without_sklearn_stops_before_work_begins(
    protocol: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(SystemExit) as ended:
        evaluate_main([protocol, "--checkpoint", "absent", "--shards", "absent"])
    (error,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1 and 'pip install "mas-video[eval]"' in error


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}
