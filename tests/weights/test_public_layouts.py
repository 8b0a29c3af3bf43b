"""Weights of public C3Ds: names, preprocessing by layout, features, and files that are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mas_labels.errors import CheckpointError
from mas_train.model.backbones import make_backbone
from mas_train.weights.backbone_file import read_backbone
from mas_train.weights.backbone_weights import load_weights
from mas_train.weights.pretrained import load_backbone
from mas_train.weights.public_layouts import PREPROCESSING, public_names, to_public

FRAMES = torch.randint(256, (16, 128, 171, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def layouts(original: dict[str, Tensor], backbone: str) -> dict[str, dict[str, Tensor]]:
    """The weights of a backbone under the names of other programs."""
    size = "large" if "large" in backbone else "small"
    plain = to_public(original, size)
    fc = {"fc6.weight": torch.zeros(2, 2), "fc8.bias": torch.zeros(2)}
    made = {"plain": plain | fc, "parallel": {f"module.{key}": weight for key, weight in plain.items()}}
    wrapped = {}
    for key, weight in plain.items():
        kind, stage, letter, rest = re.fullmatch(r"(conv|bn)(\d)([ab]?)\.(.*)", key).groups()
        wrapped[f"backbone.conv{stage}{letter or 'a'}.{kind}.{rest}"] = weight
    made["wrapped"] = wrapped | {"cls_head.fc_cls.weight": torch.zeros(2)}
    if "bn" not in backbone:
        steps = [0, 3, 6, 8, 11, 13, 16, 18] if size == "large" else [0, 3, 6, 9, 12]
        names = dict(zip(public_names(size), steps, strict=True))
        numbered = {
            re.sub(r"conv(\w+)\.", lambda m: f"features.{names[m[1]]}.", key): w for key, w in plain.items()
        }
        made["numbered"] = numbered | {"classifier.0.weight": torch.zeros(2)}
    return made


@pytest.mark.parametrize("backbone", ["c3d", "c3d-bn", "c3d-large", "c3d-large-bn"])
def test_public_layouts_are_recognised(backbone: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = make_backbone(backbone, 1 / 32).state_dict()
    for name, weights in layouts(original, backbone).items():
        torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "public.pth")
        found, config = read_backbone(tmp_path / "public.pth")
        assert (config.backbone, config.width) == (backbone, 1 / 32), name
        assert len(config.left_out) == len(weights) - len(original)
        expected = PREPROCESSING["plain" if name == "parallel" else name, backbone]
        assert config.pixel_mean == expected.pixel_mean and expected.origin in config.preprocessing
        first = found.state_dict()["convs.0.weight"]
        assert torch.equal(first.flip(1) if expected.is_bgr else first, original["convs.0.weight"])
        rest = found.state_dict().keys() - {"convs.0.weight"}
        assert all(torch.equal(found.state_dict()[key], original[key]) for key in rest)


def caffe_features(weights: dict[str, Tensor], order: list[int], mean: tuple[float, ...]) -> Tensor:
    """The features of a large C3D in plain torch, of pixels in its own order less its own mean."""
    top, left = (128 - 112) // 2, (171 - 112) // 2
    maps = FRAMES[:, top : top + 112, left : left + 112].float()[..., order] - torch.tensor(mean)
    maps = maps.permute(3, 0, 1, 2)[None]
    for name, pool in zip(public_names("large"), [(1, 2, 2), 2, 1, 2, 1, 2, 1, 1], strict=True):
        maps = functional.conv3d(maps, weights[f"conv{name}.weight"], weights[f"conv{name}.bias"], padding=1)
        maps = functional.max_pool3d(functional.relu(maps), pool)
    return functional.max_pool3d(maps, 2, ceil_mode=True).flatten(1)


@pytest.mark.parametrize(
    ("layout", "order", "mean"),
    [
        ("plain", [2, 1, 0], (90.0, 98.0, 102.0)),
        ("numbered", [2, 1, 0], (90.0, 98.0, 102.0)),
        ("wrapped", [0, 1, 2], (104.0, 117.0, 128.0)),
    ],
)
def test_features_equal_those_of_the_program_that_publishes_the_layout(
    layout: str, order: list[int], mean: tuple[float, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    original = make_backbone("c3d-large", 1 / 32, "he").state_dict()
    torch.save(layouts(original, "c3d-large")[layout], tmp_path / "public.pth")
    plain = to_public(original, "large")
    for given, own in ((None, mean), ((1.0, 2.0, 3.0), (1.0, 2.0, 3.0))):
        backbone = load_backbone(tmp_path / "public.pth", pixel_mean=given)
        reordered = own if given is None else tuple(own[channel] for channel in order)
        with torch.inference_mode():
            found = backbone(backbone.preprocess(FRAMES))
            expected = caffe_features(plain, order, reordered)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
        assert expected.abs().max() > 1


def test_a_pixel_mean_that_is_given_replaces_that_of_a_layout_and_of_a_run(
    pretrained: Path, tmp_path: Path
) -> None:
    torch.save(to_public(make_backbone("c3d-large", 1 / 32).state_dict(), "large"), tmp_path / "some.pth")
    assert load_weights(tmp_path / "some.pth").pixel_mean == (102, 98, 90)
    for source in (tmp_path / "some.pth", pretrained):
        assert load_weights(source, pixel_mean=(1, 2, 3)).pixel_mean == (1, 2, 3)


def test_the_names_are_those_in_public_use() -> None:
    assert public_names("small") == ["1", "2", "3", "4", "5"]
    assert public_names("large") == ["1", "2", "3a", "3b", "4a", "4b", "5a", "5b"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transformer.weight": torch.zeros(1)}, r"not a C3D in a known layout: it has transformer.weight"),
        ({"conv6.weight": torch.zeros(1)}, r"it has conv6.weight"),
        ({"conv5.weight": torch.zeros(8, 8, 3, 3, 1)}, r"does not fit a c3d: .*convs.4.weight"),
        (
            {"conv3b.weight": torch.zeros(8, 8, 3, 3, 3)},
            r"convolutions 1a, 2a, 3a, 3b, 4a, 5a; expected 1, 2, 3",
        ),
        ({"conv2.bias": None}, r"does not fit a c3d: .*convs.1.bias"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    change: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    weights = layouts(make_backbone("c3d", 1 / 32).state_dict(), "c3d")["plain"] | change
    torch.save({key: weight for key, weight in weights.items() if weight is not None}, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=message) as caught:
        read_backbone(tmp_path / "odd.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"text", [1, 2], {"state_dict": {"a": "b"}}])
def test_files_that_hold_no_weights_are_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"file\.pth"):
        read_backbone(path)
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        load_weights(tmp_path)
