"""Clips read at a pace, and the pace as a target."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from mas_labels.errors import ConfigError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.report.run_sections import run_sections
from mas_labels.shards import open_shards
from mas_train.cli.pretrain import main
from mas_train.data.clips import ClipBatch, shuffled_clips
from mas_train.model.heads import make_model
from mas_train.model.loss import PretextLoss
from mas_train.model.pace import PaceCode, PaceReader
from mas_train.model.targets import TargetCode
from mas_train.recipe import make_recipe
from mas_train.training.heldout import read_heldout
from mas_train.training.metrics import read_metrics
from mas_train.weights.backbone_weights import load_weights

RECIPE = make_recipe("ucf101", targets="pace", width=1 / 32, fc_width=8, seed=3)


def reader(frames: int, stride: int) -> PaceReader:
    return PaceReader(make_recipe("ucf101", targets="pace", input_stride=stride, seed=3), Geometry(frames))


def numbered(clips: torch.Tensor, frames: int) -> ClipBatch:
    """Clips of one pixel, the number of the frame."""
    pixels = torch.arange(frames, dtype=torch.uint8).expand(len(clips), frames)[..., None, None, None]
    return ClipBatch(pixels, torch.zeros(len(clips), 2, 27), clips, torch.zeros(0))


@pytest.mark.parametrize(
    ("frames", "stride", "paces", "seen"),
    [
        (16, 1, 2, 8),
        (16, 2, 2, 8),
        (17, 1, 2, 9),
        (24, 1, 3, 8),
        (32, 1, 4, 8),
        (32, 2, 4, 8),
        (64, 1, 4, 16),
    ],
)
def test_clips_are_read_at_every_pace_from_every_frame_that_leaves_room(
    frames: int, stride: int, paces: int, seen: int
) -> None:
    reading = reader(frames, stride)
    assert (reading.paces, reading.geometry.clip_frames) == (paces, seen * stride)
    clips = torch.arange(3000)
    drawn = reading.draw(numbered(clips, frames), 5)
    labels, read = drawn.view_labels[:, 0, 0].tolist(), drawn.frames[:, :, 0, 0, 0].tolist()
    starts: dict[int, set[int]] = {}
    for pace, numbers in zip(labels, read, strict=True):
        assert numbers[::stride] == list(
            range(numbers[0], numbers[0] + pace * seen, pace)
        )  # what a network sees
        between = itertools.pairwise(numbers)
        assert all(0 <= later - earlier <= pace for earlier, later in between) and numbers[-1] < frames
        starts.setdefault(pace, set()).add(numbers[0])
    for pace, found in starts.items():
        last = frames - 1 - -(-(seen * stride - 1) * pace // stride)
        assert found == set(range(last + 1))
    assert np.bincount(labels)[1:].tolist() == pytest.approx([3000 / paces] * paces, rel=0.1)
    again = reading.draw(numbered(clips.flip(0)[:7], frames), 5)  # of other batches, in another order
    assert again.frames.flatten(1).tolist() == read[::-1][:7]
    assert reading.draw(numbered(clips, frames), 6).frames.flatten(1).tolist() != read
    middle = reading.read_middle(numbered(clips[:1], frames).frames, torch.tensor([[1]]))[0, :, 0, 0, 0]
    assert abs(int(middle[0]) - (frames - 1 - int(middle[-1]))) <= 1


def test_clips_that_hold_one_pace_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--targets pace: expected clips of 16 frames or more.*found 14"):
        reader(14, 1)
    with pytest.raises(ConfigError, match="found pace, which mas-train alone reads"):
        PretextLoss(RECIPE)


def test_shuffled_labels_are_the_paces_of_other_clips() -> None:
    reading, clips = reader(16, 1), torch.arange(500)
    own, sources = reading.draw(numbered(clips, 16), 2), shuffled_clips(500, 3)
    others = reading.draw(numbered(clips, 16), 2, sources.tolist())
    assert torch.equal(own.frames, others.frames)
    assert (
        torch.equal(others.view_labels, own.view_labels[sources])
        and (own.view_labels != others.view_labels).any()
    )


def test_the_loss_is_the_cross_entropy_of_the_paces() -> None:
    code, outputs = PaceCode(("pace",), 3), torch.randn(4, 3)
    paces = torch.tensor([[1], [3], [3], [2]])
    by_hand = -functional.log_softmax(outputs, dim=1)[range(4), paces[:, 0] - 1]
    torch.testing.assert_close(code.losses(outputs, paces)[:, 0], by_hand)
    assert code.hits(functional.one_hot(torch.tensor([0, 2, 1, 1]), 3), paces)[:, 0].tolist() == [1, 1, 0, 1]
    assert code.best_constant(paces).exp().tolist() == pytest.approx([0.25, 0.25, 0.5])
    assert code.commonest(paces, torch.tensor([[3], [1]])).item() == 0.5


def test_a_network_for_paces_has_the_backbone_of_others_and_one_branch() -> None:
    code = TargetCode(RECIPE, geometry=DEFAULT_GEOMETRY)
    model = make_model(RECIPE, code)
    predictions = model(torch.zeros(2, 3, 8, 112, 112))
    assert predictions.motion.shape == (2, 2) and predictions.appearance.shape == (2, 0)
    assert model.backbone(torch.zeros(1, 3, 16, 112, 112)).shape == (
        1,
        model.backbone.output_features(DEFAULT_GEOMETRY),
    )


def test_a_run_measures_resumes_and_is_used_like_others(tiny_shards: list[Path], tmp_path: Path) -> None:
    def run(name: str, *more: object) -> Path:
        given = [
            "--shards",
            *tiny_shards,
            "--targets",
            "pace",
            "--width",
            1 / 32,
            "--fc-width",
            8,
            "--device",
            "cpu",
        ]
        given += [
            "--input-stride",
            2,
            "--batch-size",
            4,
            "--log-steps",
            1,
            "--val-steps",
            1,
            "--holdout",
            "30%",
        ]
        with pytest.raises(SystemExit) as ended:
            main(
                [
                    str(word)
                    for word in (*given, "--out", tmp_path / name, "--workers", 0, "--no-curves", *more)
                ]
            )
        assert ended.value.code == 0
        return tmp_path / name

    straight = run("straight", "--max-steps", 2)
    run("part", "--max-steps", 1)
    parts = run("part", "--max-steps", 2, "--resume")
    ours, theirs = (load_weights(folder) for folder in (straight, parts))
    for name, weight in ours.backbone.state_dict().items():
        assert torch.equal(weight, theirs.backbone.state_dict()[name])
    assert ours.kind == "self-supervised" and ours.geometry == open_shards(tiny_shards).geometry
    losses = [(row["mean_label_loss"], row["loss"], row["loss_motion"]) for row in read_metrics(straight)]
    assert len(losses) == 2 and all(mean == pytest.approx(np.log(2), rel=1e-5) for mean, _, _ in losses)
    assert all(loss == of_pace for _, loss, of_pace in losses)
    (last,) = [row for row in read_heldout(straight) if row["label"] == "pace" and row["step"] == 2]
    assert 0 <= last["accuracy"] <= 1 and last["mode_accuracy"] == pytest.approx(0.5, abs=0.17)
    assert any("Pace told on" in section for section in run_sections(straight))
