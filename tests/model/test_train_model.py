"""The network and its optimiser: shapes, initial weights, groups of weights."""

from __future__ import annotations

import copy
import sys

import pytest
import torch
from torch import nn

from mas_labels.errors import ConfigError, MissingDependencyError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_train.model.backbone import Backbone
from mas_train.model.backbones import make_backbone
from mas_train.model.c3d import C3D
from mas_train.model.heads import PretextModel, make_model
from mas_train.model.targets import TargetCode
from mas_train.model.torchvision_backbones import TorchvisionBackbone
from mas_train.recipe import make_recipe
from mas_train.training.engine import make_optimizer
from mas_train.weights.backbone_weights import weights_digest


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
    assert (
        model.backbone(clips).shape
        == (2, model.backbone.output_features(DEFAULT_GEOMETRY))
        == (2, int(256 * width) * 16)
    )
    predictions = model(clips)
    assert predictions.motion.shape == (2, 14) and predictions.appearance.shape == (2, 13)


def test_the_last_pooling_keeps_the_last_row_and_column() -> None:
    backbone = C3D(1 / 64)
    backbone.features = lambda clips: torch.arange(98.0).reshape(1, 1, 2, 7, 7)
    last = 97  # time 1, row 6, column 6: lost if 7 were halved to 3
    assert backbone(torch.empty(0)).reshape(4, 4)[3].tolist() == [last - 5, last - 3, last - 1, last]


def test_initial_weights_are_the_authors_and_keep_the_signal_in_narrow_models() -> None:
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


def test_he_weights_keep_the_signals_variance() -> None:
    torch.manual_seed(0)
    model = PretextModel(C3D(0.25, initialisation="he"), 256, initialisation="he")
    conv, fc = model.backbone.convs[4], model.motion.fc6
    assert conv.weight.std().item() == pytest.approx((2 / (64 * 27)) ** 0.5, rel=0.02)
    assert fc.weight.std().item() == pytest.approx((2 / 1024) ** 0.5, rel=0.02)
    assert not conv.bias.any() and not fc.bias.any()


@pytest.mark.parametrize(("name", "convs"), [("c3d-bn", 5), ("c3d-large", 8), ("c3d-large-bn", 8)])
def test_variants_of_c3d_have_its_feature_maps(name: str, convs: int) -> None:
    backbone = make_backbone(name, 1 / 32)
    assert len(backbone.convs) == convs and len(backbone.norms) == (convs if "bn" in name else 0)
    maps = backbone.features(torch.randn(2, 3, 16, 112, 112))
    assert maps.shape == (2, backbone.feature_channels, 2, 7, 7) and bool((maps >= 0).all())
    assert backbone.pool(maps).flatten(1).shape == (2, backbone.output_features(DEFAULT_GEOMETRY))
    assert backbone.feature_channels == (512 if "large" in name else 256) / 32


def test_batch_norm_is_between_convolution_and_relu() -> None:
    """With its first weights it centres: about half of the activations are cut off by the ReLU."""
    torch.manual_seed(0)
    backbone = make_backbone("c3d-bn", 1 / 16, "he")
    maps = backbone.features(torch.rand(2, 3, 16, 112, 112) * 255)
    assert 0.3 < (maps > 0).float().mean().item() < 0.7
    assert backbone.norms[0].running_mean.abs().sum() > 0


def some_torchvision_backbone() -> TorchvisionBackbone:
    layers = nn.Sequential(nn.Conv3d(3, 4, 9, 9, bias=False), nn.ReLU())
    return TorchvisionBackbone(layers, 4, ("conv1", "conv5"))


@pytest.mark.parametrize(
    "plain", [C3D(1 / 32), C3D(1 / 32, batch_norm=True, input_stride=2), some_torchvision_backbone()]
)
def test_residual_frames_are_what_every_layer_sees(plain: Backbone) -> None:
    """The same as plain frames that are these differences; a still clip leaves nothing but biases, 0."""
    torch.manual_seed(0)
    residual = copy.deepcopy(plain.eval())
    residual.input_frames = "residual"
    clips = torch.rand(2, 3, 16, 112, 112) * 255
    differences = torch.stack(
        [clips[:, :, min(t, 14) + 1] - clips[:, :, min(t, 14)] for t in range(16)], dim=2
    )
    for layer in ("conv1", "conv5"):
        assert torch.equal(residual.layer(clips, layer), plain.layer(differences, layer))
    assert torch.equal(residual(clips), plain(differences)) and residual(clips).any()
    assert torch.equal(residual.features(clips), plain.features(differences))
    assert not residual.features(clips[:, :, :1].expand_as(clips)).any()
    assert weights_digest(residual) != weights_digest(plain)  # by which features are cached


def test_backbones_that_do_not_know_residual_frames_are_refused_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(C3D, "takes_frames", ("rgb",))
    with pytest.raises(ConfigError, match=r"--input-frames residual: c3d takes rgb: leave the option out"):
        make_backbone("c3d", input_frames="residual")


def test_a_branch_without_labels_is_left_out() -> None:
    recipe = make_recipe("ucf101", targets="motion-global", width=1 / 32, fc_width=8)
    model = make_model(recipe, TargetCode(recipe))
    assert model.appearance is None and model.motion.output.out_features == 2
    predictions = model(torch.randn(1, 3, 16, 112, 112))
    assert predictions.motion.shape == (1, 2) and predictions.appearance.shape == (1, 0)


def test_invalid_backbones_are_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"no backbone 'vgg'.*c3d.*s3d"):
        make_backbone("vgg")
    with pytest.raises(
        ConfigError, match=r"width 0.5 requested of r3d-18, which comes from torchvision in one width"
    ):
        make_backbone("r3d-18", width=0.5)


def test_torchvision_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(
        MissingDependencyError, match=r"torchvision.*pip install .mas-video\[train,torchvision\]"
    ):
        make_backbone("s3d")


@pytest.mark.parametrize(
    ("preset", "expected"),
    [("ucf101", {(1.0, 0.0): 0}), ("authors", {(1.0, 0.0): 0, (1.0, 0.005): 0, (2.0, 0.0): 0})],
)
def test_groups_of_weights_by_rate_and_decay(preset: str, expected: dict[tuple[float, float], int]) -> None:
    recipe = make_recipe(preset, width=1 / 32, fc_width=8, backbone="c3d-bn")
    model = make_model(recipe, TargetCode(recipe))
    optimizer = make_optimizer(model, recipe)
    groups = {(group["lr_scale"], group["weight_decay"]): group["params"] for group in optimizer.param_groups}
    assert groups.keys() == expected.keys()
    place = {id(weight): key for key, weights in groups.items() for weight in weights}
    assert len(place) == len(list(model.parameters()))
    for name, weight in model.named_parameters():
        if preset == "authors":
            is_fc = name.startswith(("motion", "appearance"))
            expected_place = (2.0, 0.0) if name.endswith("bias") else (1.0, 0.005 if is_fc else 0.0)
            assert place[id(weight)] == expected_place, name
    assert {group["lr"] / group["lr_scale"] for group in optimizer.param_groups} == {recipe.learning_rate}


@pytest.mark.parametrize(
    ("frames", "size", "positions"), [(16, 112, 16), (32, 112, 32), (16, 224, 49), (8, 56, 4)]
)
def test_the_number_of_features_follows_from_the_geometry(frames: int, size: int, positions: int) -> None:
    geometry = Geometry(frames, 1, size, size, size, size // 4, size // 8)
    backbone = C3D(1 / 64, batch_norm=True)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    assert backbone.output_features(geometry) == 4 * positions
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    model = PretextModel(backbone, 8, geometry=geometry)
    assert model(torch.randn(2, 3, frames, size, size)).motion.shape == (2, 14)


def test_clips_that_a_network_cannot_pool_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"4 frames of 112 x 112 pixels are too small .*label with longer clips"
    ):
        C3D(1 / 64).output_features(Geometry(clip_frames=4))
