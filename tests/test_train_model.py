"""The network and its loss: shapes, first weights, numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mas_labels.errors import ConfigError, DatasetError
from mas_train.c3d import C3D
from mas_train.heads import Predictions, PretextModel
from mas_train.loss import mean_label_losses, pretext_loss


def test_full_width_is_the_papers() -> None:
    model = PretextModel(C3D())
    shapes = {
        name: tuple(weight.shape) for name, weight in model.named_parameters() if name.endswith("weight")
    }
    channels = (3, 64, 128, 256, 256, 256)
    assert [shapes[f"backbone.convs.{n}.weight"] for n in range(5)] == [
        (channels[n + 1], channels[n], 3, 3, 3) for n in range(5)
    ]
    for branch, outputs in (("motion", 14), ("appearance", 13)):
        expected = [(2048, 4096), (2048, 2048), (outputs, 2048)]
        assert [shapes[f"{branch}.{layer}.weight"] for layer in ("fc6", "fc7", "output")] == expected


@pytest.mark.parametrize(("width", "fc_width"), [(1 / 64, 3), (0.125, 16)])
def test_shapes_of_narrow_models(width: float, fc_width: int) -> None:
    model = PretextModel(C3D(width), fc_width)
    clips = torch.randn(2, 3, 16, 112, 112)
    features = model.backbone.features(clips)
    assert features.shape == (2, int(256 * width), 2, 7, 7) and bool((features >= 0).all())
    assert model.backbone(clips).shape == (2, model.backbone.output_features) == (2, int(256 * width) * 16)
    predictions = model(clips)
    assert predictions.motion.shape == (2, 14) and predictions.appearance.shape == (2, 13)


def test_the_last_pooling_keeps_the_last_row_and_column() -> None:
    backbone = C3D(1 / 64)
    backbone.features = lambda clips: torch.arange(98.0).reshape(1, 1, 2, 7, 7)
    last = 97  # time 1, row 6, column 6: lost if 7 were halved to 3
    assert backbone(torch.empty(0)).reshape(4, 4)[3].tolist() == [last - 5, last - 3, last - 1, last]


def test_first_weights_are_the_authors_and_keep_their_signal_when_narrow() -> None:
    torch.manual_seed(0)
    full, narrow = PretextModel(C3D(), 128), PretextModel(C3D(0.25), 512)
    for model, conv, fc, out in ((full, 0.01, 0.005, 0.04), (narrow, 0.02, 0.01, 0.02)):
        assert model.backbone.convs[0].weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert model.backbone.convs[4].weight.std().item() == pytest.approx(conv, rel=0.02)
        assert model.motion.fc6.weight.std().item() == pytest.approx(fc, rel=0.02)
        assert model.appearance.output.weight.std().item() == pytest.approx(out, rel=0.05)
        assert set(model.motion.fc7.bias.tolist()) == {1.0} and not model.motion.output.bias.any()
        assert not any(conv.bias.any() for conv in model.backbone.convs)


def test_dropout_only_in_training() -> None:
    torch.manual_seed(0)
    branch = PretextModel(C3D(1 / 64), 64, dropout=0.5).motion
    features = torch.rand(1, 64)
    assert not torch.equal(branch(features), branch(features))
    branch.eval()
    assert torch.equal(branch(features), branch(features))


def test_a_width_without_channels_is_refused() -> None:
    with pytest.raises(ConfigError, match="width"):
        C3D(0.01)


def test_loss_by_hand() -> None:
    predictions = Predictions(torch.full((2, 14), 3.0), torch.full((2, 13), 1.0))
    labels = torch.ones((2, 27), dtype=torch.uint8)
    labels[0, 0] = 10  # (3 - 10)^2 = 49 once, (3 - 1)^2 = 4 for the other 27 motion labels
    labels[1, 26] = 5  # (1 - 5)^2 = 16 once, 0 for the other 25 appearance labels
    losses = pretext_loss(predictions, labels, motion_weight=1.0, appearance_weight=0.1)
    motion, appearance = (49 + 27 * 4) / 28, 16 / 26
    assert losses.motion.item() == pytest.approx(motion)
    assert losses.appearance.item() == pytest.approx(appearance)
    assert losses.total.item() == pytest.approx(motion + 0.1 * appearance)


def test_mean_label_loss_by_hand() -> None:
    labels = np.ones((2, 2, 27), np.uint8)
    labels[:, :, 0] = [[1, 3], [5, 7]]  # variance 5
    labels[0, 0, 14] = 3  # mean 1.5, variance 0.75
    losses = mean_label_losses([labels[0], labels[1:]], appearance_weight=2.0)
    assert losses.motion.item() == pytest.approx(5 / 14)
    assert losses.appearance.item() == pytest.approx(0.75 / 13)
    assert losses.total.item() == pytest.approx(5 / 14 + 2 * 0.75 / 13)


@settings(max_examples=25, deadline=None)
@given(arrays(np.uint8, (7, 3, 27), elements=st.integers(0, 16)))
def test_mean_label_loss_is_the_loss_of_the_best_constant(labels: np.ndarray) -> None:
    losses = mean_label_losses(iter(labels))
    rows = torch.from_numpy(labels.reshape(-1, 27)).double()
    mean = rows.mean(dim=0).expand(len(rows), 27)
    best = pretext_loss(Predictions(mean[:, :14], mean[:, 14:]), rows)
    torch.testing.assert_close(torch.stack(losses), torch.stack(best))
    worse = pretext_loss(Predictions(mean[:, :14] + 0.1, mean[:, 14:]), rows)
    assert worse.motion > losses.motion


def test_no_labels_have_no_mean() -> None:
    with pytest.raises(DatasetError, match="no clips"):
        mean_label_losses([])
