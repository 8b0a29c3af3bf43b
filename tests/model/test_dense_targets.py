"""Dense targets: against a naive computation from flow and frames that were cropped and mirrored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.brute_force import blocks_of_patterns, derivative
from numpy.typing import NDArray

from mas_labels.errors import ConfigError, DatasetError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.schema import LABEL_NAMES, PATTERNS
from mas_labels.shards import open_shards
from mas_train.codings import DENSE_CODINGS, dense_names
from mas_train.data.clips import ClipBatch
from mas_train.data.training_shards import require_coded
from mas_train.data.views import take_views
from mas_train.model.heads import Predictions
from mas_train.model.loss import PretextLoss, pretext_loss
from mas_train.model.targets import TargetCode
from mas_train.recipe import TARGETS, make_recipe

RECIPE = make_recipe("ucf101", coding="dense", target_scale="standard")
SMALL = Geometry(clip_frames=5, frame_rows=40, frame_cols=52, view_size=32, grid_block=8, ring_width=4)


def naive_targets(
    frames: NDArray[np.uint8], flow: NDArray[np.float64], view: tuple[int, int, int], geometry: Geometry
) -> dict[str, NDArray[np.float64]]:
    """Compute all dense targets of a view of a clip, block by block: pattern and statistic to numbers."""
    top, left, mirrored = view
    size, last = geometry.view_size, geometry.frame_cols - geometry.view_size - left
    if mirrored:  # the whole clip, and then the crop that shows the same pixels
        frames, flow = frames[:, :, ::-1], flow[:, :, ::-1] * np.array([-1, 1])
        left = last
    summed = [sum(np.stack(derivative(field[..., part], False)) for field in flow) for part in (0, 1)]
    crop = (slice(top, top + size), slice(left, left + size))
    sizes = (size, geometry.grid_block, geometry.ring_width)
    found: dict[str, list[list[float]]] = {}
    for pattern, masks in zip(PATTERNS, blocks_of_patterns(False, sizes), strict=True):
        for mask in masks:
            for name, boundary in zip("uv", summed, strict=True):
                d_col, d_row = (part[crop][mask] for part in boundary)
                length, angle = np.hypot(d_col, d_row), np.arctan2(-d_row, d_col)
                axis = [(length * np.sin(-2 * angle)).mean(), (length * np.cos(2 * angle)).mean()]
                found.setdefault(f"{pattern}_{name}m", []).append([np.sqrt(length.mean())])
                signed = [np.sign(number) * np.sqrt(abs(number)) for number in axis]
                found.setdefault(f"{pattern}_{name}a", []).append(signed)
            bright = frames[:, crop[0], crop[1]][:, mask] >= 128  # (T, pixels, 3)
            numbers = 4 * bright[..., 0] + 2 * bright[..., 1] + bright[..., 2]
            counts = np.array([[(of_frame == colour).sum() for colour in range(8)] for of_frame in numbers])
            score = counts.min(axis=0).sum() / counts.max(axis=0).sum()
            found.setdefault(f"{pattern}_di", []).append([1 - score])
            found.setdefault(f"{pattern}_co", []).append(list(np.sqrt(counts.sum(axis=0) / numbers.size)))
    return {name: np.array(numbers).ravel() for name, numbers in found.items()}


@pytest.mark.parametrize("geometry", [SMALL, DEFAULT_GEOMETRY], ids=["small", "paper"])
def test_targets_are_those_of_the_cropped_and_mirrored_flow_and_frames(geometry: Geometry) -> None:
    rng = np.random.default_rng(0)
    shape = geometry.clip_shape
    frames = rng.integers(0, 256, (3, *shape), np.uint8)
    flow = rng.normal(0, 2, (3, geometry.fields, *shape[1:3], 2)).astype(np.float32).astype(np.float64)
    limit = (shape[1] - geometry.view_size + 1, shape[2] - geometry.view_size + 1)
    views = [(*(int(rng.integers(0, n)) for n in limit), mirrored) for mirrored in (0, 1, 1)]
    maps = [
        [sum(np.stack(derivative(f[..., part], False), -1) for f in clip) for part in (0, 1)] for clip in flow
    ]
    batch = ClipBatch(
        torch.from_numpy(frames),
        torch.empty(3, 0, 27),
        torch.arange(3),
        torch.from_numpy(np.array(maps).astype(np.float16)),
    )
    code, table = TargetCode(RECIPE, geometry=geometry), torch.tensor(views)
    clips = take_views(batch.frames, table, RECIPE.pixel_mean, geometry)
    targets = code.targets(batch, torch.arange(3), table, clips)
    for clip, view in enumerate(views):
        naive = naive_targets(frames[clip], flow[clip], view, geometry)
        expected = np.concatenate([naive[name] for name in code.blocks.names])
        np.testing.assert_allclose(targets[clip].numpy(), expected, atol=0.04)  # Mu and Mv have 16 bits
        magnitudes = [number for name in code.blocks.names for number in [name[-1] == "m"] * len(naive[name])]
        np.testing.assert_allclose(targets[clip].numpy()[magnitudes], expected[magnitudes], rtol=1e-3)


def test_a_still_clip_has_finite_targets() -> None:
    code, view = TargetCode(RECIPE, geometry=SMALL), torch.tensor([[0, 0, 1]])
    frames = torch.full((1, *SMALL.clip_shape), 200, dtype=torch.uint8)
    batch = ClipBatch(frames, torch.empty(1, 0, 27), torch.arange(1), torch.zeros(1, 2, 40, 52, 2).half())
    targets = code.targets(batch, view[:, 0], view, take_views(frames, view, RECIPE.pixel_mean, SMALL))
    parts = dict(zip(code.blocks.names, targets[0].split(code.blocks.sizes), strict=True))
    assert all((part == 0).all() for name, part in parts.items() if name[-2:] != "co")
    assert all(
        torch.equal(parts[f"{p}_co"].reshape(-1, 8)[:, 7], torch.ones(n)) for p, n in SMALL.blocks.items()
    )


def test_losses_weigh_each_target_the_same_and_the_mean_has_loss_1() -> None:
    sample = torch.randn(50, 420) * torch.linspace(0.1, 9, 420)
    code = TargetCode(RECIPE, sample)
    predictions = Predictions(*(branch.best_constant(sample).expand(50, -1) for branch in code.branches))
    losses = pretext_loss(predictions, sample, code)
    assert [loss.item() for loss in losses] == [pytest.approx(1), pytest.approx(1), pytest.approx(2)]
    motion = code.motion
    by_hand, start = [], 0
    for size in code.blocks.sizes[:12]:
        part = sample[:, start : start + size].double()
        centred = part - part.mean(dim=0)
        by_hand.append((centred.square() / centred.square().mean()).mean(dim=1))
        start += size
    losses_of_clips = motion.losses(predictions.motion, sample).double()
    torch.testing.assert_close(losses_of_clips, torch.stack(by_hand, 1), rtol=1e-5, atol=1e-6)


def test_dense_targets_are_trained_in_the_place_of_their_labels() -> None:
    assert dense_names("dense", TARGETS["motion-rings"]) == ("rings_um", "rings_ua", "rings_vm", "rings_va")
    assert len(dense_names("dense", LABEL_NAMES)) == 18 and len(dense_names("magnitudes", LABEL_NAMES)) == 12
    assert dense_names("dense", TARGETS["appearance"])[:2] == ("grid_di", "grid_co")
    assert TargetCode(RECIPE).motion.outputs == 28 * 6 and TargetCode(RECIPE).appearance.outputs == 28 * 9


@pytest.mark.parametrize("coding", DENSE_CODINGS)
def test_what_does_not_go_with_dense_targets_is_refused(coding: str) -> None:
    standard = {"coding": coding, "target_scale": "standard"}
    with pytest.raises(ConfigError, match="expected target_scale standard, found raw"):
        make_recipe("ucf101", coding=coding)
    with pytest.raises(ConfigError, match="expected targets in blocks, found ui, vi"):
        make_recipe("ucf101", **standard, targets="motion-global")
    with pytest.raises(ConfigError, match="expected no shuffle_labels"):
        make_recipe("ucf101", **standard, shuffle_labels=True)
    with pytest.raises(ConfigError, match=f"expected a coding of labels, found {coding}"):
        PretextLoss(make_recipe("ucf101", **standard))


def test_shards_that_lack_what_a_coding_needs_are_refused(tiny_shards: list[Path]) -> None:
    shards = open_shards(tiny_shards)
    require_coded(shards, "dense")
    require_coded(shards, "recoded")
    shards.config = {**shards.config, "store_boundaries": False, "convention": "authors"}
    with pytest.raises(DatasetError, match="expected Mu and Mv for --coding dense, found none"):
        require_coded(shards, "dense")
    with pytest.raises(ConfigError, match="expected labels of the convention paper for --coding recoded"):
        require_coded(shards, "recoded")
    require_coded(shards, "axis")
