"""Mistakes with mas-embed: one line with the remedy, before any work, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.coloured import SMALL, label_frames, run

from mas_train.cli.embed import main
from mas_train.inference.feature_store import FeatureStore


@pytest.fixture(autouse=True)
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a network would be run."""
    monkeypatch.setattr("mas_train.inference.embed.clip_outputs", None)


def error_of(capsys: pytest.CaptureFixture[str], out: Path, *args: object, status: int = 1) -> str:
    """Return the error line of a command that writes nothing."""
    before = sorted(out.parent.iterdir())
    assert run(main, *args, "--out", out, *SMALL) == status
    assert sorted(out.parent.iterdir()) == before
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    return lines[0]


def test_a_layer_that_the_network_lacks(
    tiny_videos: Path, tmp_path: Path, pretrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = error_of(capsys, tmp_path / "f.npz", tiny_videos, "--weights", pretrained, "--layer", "fc6")
    assert line.endswith(
        "pooled, mean, pixels, conv1, conv2, conv3, conv4, conv5, found 'fc6': take one of them"
    )


def test_clips_of_shards_that_are_too_small_for_the_network(
    tiny_videos: Path, tmp_path: Path, pretrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {"frame_rows": 24, "frame_cols": 24, "view_size": 16, "clip_frames": 4}
    shards = label_frames(tiny_videos, tmp_path / "shards", **sizes)
    line = error_of(capsys, tmp_path / "f.npz", shards.paths[0], "--weights", pretrained)
    assert "4 frames of 16 x 16 pixels are too small for this backbone" in line


def test_wrong_output(
    tiny_videos: Path, tmp_path: Path, pretrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (tiny_videos, "--weights", pretrained)
    (tmp_path / "old.npz").touch()
    assert "exists: remove it" in error_of(capsys, tmp_path / "old.npz", *command)
    (tmp_path / "file").touch()
    assert run(main, *command, "--out", tmp_path / "file" / "f.npz", *SMALL) == 1
    assert "cannot write to" in capsys.readouterr().err


def test_leftovers_of_another_run_are_refused(
    tiny_videos: Path,
    tmp_path: Path,
    pretrained: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mas_labels.system.files.WAIT_SECONDS", 0)
    out = tmp_path / "f.npz"
    with FeatureStore(out, {"layer": "mean", "weights": "other"}, 4):
        line = error_of(capsys, out, tiny_videos, "--weights", pretrained)
        assert "another run is writing" in line
    line = error_of(capsys, out, tiny_videos, "--weights", pretrained)
    assert "finished videos of a run with other" in line and "remove the folder" in line and "layer" in line
