"""Outputs of clips are those of the clip and the weights alone, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.coloured import CPU, WIDTH
from torch import Tensor

from mas_labels.errors import ConfigError
from mas_labels.geometry import Geometry
from mas_train.data.clips import ClipBatch
from mas_train.inference.layers import backbone_features
from mas_train.inference.outputs import clip_outputs
from mas_train.model.backbones import make_backbone
from mas_train.model.classifier import SCORED_ROWS, Classifier
from mas_train.recipe import make_recipe

CLIPS = 7
GEOMETRY = Geometry(clip_frames=8, frame_rows=64, frame_cols=72, view_size=64, grid_block=16, ring_width=8)


@pytest.fixture(scope="module")
def frames() -> Tensor:
    """Return random clips."""
    generator = torch.Generator().manual_seed(0)
    shape = (CLIPS, *GEOMETRY.clip_shape)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def rows_of(
    model: torch.nn.Module, output: Callable[[Tensor], Tensor], frames: Tensor, size: int
) -> np.ndarray:
    """Compute the outputs of clips in batches of a size."""
    batches = (
        ClipBatch(part, part[:, :0], torch.arange(len(part)), part[:, :0]) for part in frames.split(size)
    )
    pairs = list(clip_outputs(model, output, (100.0, 99.0, 98.0), GEOMETRY, batches, CPU))
    assert all(len(rows) == len(batch.frames) and rows.dtype == np.float32 for batch, rows in pairs)
    return np.concatenate([rows for _, rows in pairs])


@pytest.mark.parametrize("layer", ["pooled", "mean", "pixels", "conv1", "conv3"])
def test_features_do_not_depend_on_the_batch(frames: Tensor, layer: str) -> None:
    backbone = make_backbone("c3d-bn", WIDTH, "he")
    output = backbone_features(backbone, layer)
    expected = rows_of(backbone, output, frames, CLIPS)
    for size in (1, 2, 3):
        np.testing.assert_array_equal(rows_of(backbone, output, frames, size), expected)


def test_scores_do_not_depend_on_the_batch(frames: Tensor) -> None:
    torch.manual_seed(0)
    model = Classifier(make_backbone("c3d", WIDTH, "he"), 5, make_recipe("ucf101"), False, GEOMETRY)
    expected = rows_of(model, model.probabilities, frames, CLIPS)
    np.testing.assert_allclose(expected.sum(axis=1), 1, rtol=1e-5)
    for size in (1, 3):
        np.testing.assert_array_equal(rows_of(model, model.probabilities, frames, size), expected)
    with torch.inference_mode():
        features = torch.randn(SCORED_ROWS + 3, model.backbone.output_features(GEOMETRY))
        model.backbone.forward = lambda rows: rows  # type: ignore[method-assign]
        many, few = model.probabilities(features), model.probabilities(features[-3:])
    assert torch.equal(many[-3:], few) and many.shape == (SCORED_ROWS + 3, 5)


def test_a_batch_without_clips_has_no_rows(frames: Tensor) -> None:
    backbone = make_backbone("c3d", WIDTH)
    assert rows_of(backbone, backbone, frames[:0], 1).shape == (0, 0)


def test_layers_are_named_by_the_network() -> None:
    backbone = make_backbone("c3d-large", WIDTH, "he").eval()
    views = torch.randn(2, 3, 16, 64, 64)
    maps = [backbone.layer(views, name) for name in backbone.layer_names]
    assert [tuple(each.shape[2:]) for each in maps] == [
        (16, 64, 64),
        (16, 32, 32),
        (8, 16, 16),
        (4, 8, 8),
        (2, 4, 4),
    ]
    assert torch.equal(maps[-1], backbone.features(views))
    with pytest.raises(ConfigError, match=r"pooled, mean, pixels, conv1, .*, conv5, found 'fc6'"):
        backbone_features(backbone, "fc6")
