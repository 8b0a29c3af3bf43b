"""Backbones of torchvision, in a separate environment: it does not fit every build of torch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VARIABLE = "MAS_TORCHVISION_PYTHON"
CODE = """
import torch
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_train.model.backbones import make_backbone
from mas_train.model.heads import make_model
from mas_train.training.engine import make_optimizer
from mas_train.recipe import make_recipe
from mas_train.model.targets import TargetCode
import torchvision.models.video as video

torch.manual_seed(0)
torch.set_num_threads(1)
clips = torch.randn(2, 3, 16, 112, 112)
for name, original, channels in (
    ("r3d-18", video.r3d_18, 512), ("r2plus1d-18", video.r2plus1d_18, 512), ("s3d", video.s3d, 1024)
):
    recipe = make_recipe("authors", backbone=name, fc_width=8)
    code = TargetCode(recipe)
    model = make_model(recipe, code)
    backbone = model.backbone
    maps = backbone.features(clips)
    assert maps.shape[:2] == (2, channels) == (2, backbone.feature_channels) and bool((maps >= 0).all())
    vector = backbone(clips)
    assert vector.shape == (2, backbone.output_features(DEFAULT_GEOMETRY))
    predictions = model(clips)
    sum(outputs.square().mean() for outputs in predictions).backward()
    make_optimizer(model, recipe).step()
    # the numbers of torchvision's own network with the same weights, whose classifier sees these features
    network = original(weights=None, num_classes=channels).eval()
    backbone.eval()
    if name == "s3d":
        backbone.layers.load_state_dict(network.features.state_dict())
        expected = network.features(clips)
    else:
        for place, layer in enumerate(("stem", "layer1", "layer2", "layer3", "layer4")):
            backbone.layers[place].load_state_dict(getattr(network, layer).state_dict())
        network.fc = torch.nn.Identity()
        expected = network(clips)
    torch.testing.assert_close(backbone.features(clips) if name == "s3d" else backbone(clips), expected)
print("all three")
"""


@pytest.mark.slow
def test_torchvision_networks_in_a_separate_environment() -> None:
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"name a Python that has torch and torchvision in {VARIABLE}; `make test-slow` makes one")
    result = subprocess.run([python, "-c", CODE], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["all", "three"]
