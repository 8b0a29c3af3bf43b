"""Export of backbones to other programs, and import of public ones: names, values, errors."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mas_labels.errors import CheckpointError
from mas_train.cli.export import main
from mas_train.model.heads import make_model
from mas_train.model.targets import TargetCode
from mas_train.recipe import make_recipe
from mas_train.runtime.generators import generator_states
from mas_train.training.engine import make_optimizer
from mas_train.weights import export
from mas_train.weights.backbone_file import METADATA_KEY, read_backbone
from mas_train.weights.checkpoint import TrainingState, save_checkpoint
from mas_train.weights.export import export_backbone, make_extractor

ROOT = Path(__file__).parents[2]
CLIPS = torch.rand(2, 3, 16, 112, 112, generator=torch.Generator().manual_seed(1)) * 255
CPU = torch.device("cpu")


def write_checkpoint(run: Path, backbone: str) -> torch.Tensor:
    """Write a run's first checkpoint; return the features its backbone gives for `CLIPS`."""
    torch.manual_seed(0)
    recipe = make_recipe("ucf101", backbone=backbone, width=1 / 32, fc_width=4, initialisation="he")
    code = TargetCode(recipe)
    model = make_model(recipe, code)
    model.train()
    model.backbone(CLIPS - 100)  # batch norm now has running statistics other than the initial ones
    save_checkpoint(
        run, TrainingState(model, make_optimizer(model, recipe), code), recipe, [], [generator_states(CPU)]
    )
    with torch.inference_mode():
        return make_extractor(model.backbone.eval(), recipe.pixel_mean)(CLIPS)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    run = tmp_path_factory.mktemp("run")
    return run, write_checkpoint(run, "c3d")


@pytest.fixture(scope="module")
def bn_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    run = tmp_path_factory.mktemp("run")
    return run, write_checkpoint(run, "c3d-bn")


def test_documented_ways_to_read_exports_need_no_code_of_this_project(
    small_run: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    pytest.importorskip("safetensors")
    run, features = small_run
    export_backbone(run, tmp_path / "features", ["safetensors"])
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "evaluation.md").read_text(), flags=re.S)
    (lines,) = [block for block in blocks if "backbone.safetensors" in block]
    torch.save(CLIPS, tmp_path / "clips.pt")
    code = (
        "import sys, torch; sys.modules['mas_train'] = sys.modules['mas_labels'] = None\n"
        f"clips = torch.load('clips.pt')\n{lines}\ntorch.save(maps, 'maps.pt')"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)
    torch.testing.assert_close(torch.load(tmp_path / "maps.pt"), features, rtol=1e-3, atol=1e-4)
    assert sum(not line.startswith(("import", "from")) for line in lines.splitlines() if line) <= 5


def test_safetensors_hold_weights_and_configuration(
    bn_run: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    safetensors = pytest.importorskip("safetensors")
    path, config = export_backbone(bn_run[0], tmp_path, ["safetensors"])
    described = json.loads(config.read_text())
    assert (
        described["source"] == "step-00000000.pt"
        and described["backbone"] == "c3d-bn"
        and described["pixel_mean"] == [102, 98, 90]
    )
    with safetensors.safe_open(path, framework="pt") as file:
        names = set(file.keys())
        assert json.loads(file.metadata()["mas_backbone"]) == described
    assert {"conv1.weight", "conv5.bias", "bn3.running_mean", "bn5.weight"} < names and len(names) == 35
    backbone, found = read_backbone(path)
    assert found.backbone == "c3d-bn" and found.step == 0 and not backbone.training
    with torch.inference_mode():
        features = make_extractor(backbone, found.pixel_mean)(CLIPS)
    assert torch.equal(features, bn_run[1])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            {"geometry": {"view_size": 10**9}},
            r"no geometry .* \(view_size: expected 8 to 4096, found 1000000000",
        ),
        (
            {"geometry": {"depth": 3}},
            "no geometry that this version knows .*'depth'.*: it is damaged, or of a later one",
        ),
        ({"depth": 3}, "no backbone that this version knows .*'depth'.*: it is damaged, or of a later one"),
    ],
)
def test_a_configuration_that_is_not_known_is_refused(
    small_run: tuple[Path, torch.Tensor], tmp_path: Path, entries: dict[str, object], message: str
) -> None:
    safetensors = pytest.importorskip("safetensors")
    exported, _ = export_backbone(small_run[0], tmp_path, ["safetensors"])
    with safetensors.safe_open(exported, framework="pt") as file:
        fields = json.loads(file.metadata()[METADATA_KEY])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dictionary
    header = {METADATA_KEY: json.dumps({**fields, **entries})}
    exported.write_bytes(safetensors.torch.save(weights, header))
    with pytest.raises(CheckpointError, match=message):
        read_backbone(exported)


def test_torchscript_gives_the_same_features(bn_run: tuple[Path, torch.Tensor], tmp_path: Path) -> None:
    path, _ = export_backbone(bn_run[0], tmp_path, ["torchscript"])
    code = (
        "import sys, torch; sys.modules['mas_train'] = None\n"
        f"torch.save(torch.jit.load({str(path)!r})(torch.load('clips.pt')), 'maps.pt')"
    )
    torch.save(CLIPS, tmp_path / "clips.pt")
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)
    torch.testing.assert_close(torch.load(tmp_path / "maps.pt").detach(), bn_run[1], rtol=1e-3, atol=1e-4)


def test_onnx_gives_the_same_features_of_any_number_of_clips(
    bn_run: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path, _ = export_backbone(bn_run[0], tmp_path, ["onnx"])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (1, 2):
        (found,) = session.run(None, {"clips": CLIPS[:count].numpy()})
        np.testing.assert_allclose(found, bn_run[1][:count].numpy(), rtol=1e-3, atol=1e-4)


def test_a_file_that_gives_other_features_is_refused(
    small_run: tuple[Path, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        export._WRITERS, "torchscript", lambda path, extractor, config, clips: extractor(clips).detach() * 1.1
    )
    with pytest.raises(CheckpointError, match=r"features that differ by 0\.1"):
        export_backbone(small_run[0], tmp_path, ["torchscript"])


def test_the_command_writes_files_and_lists_them(
    small_run: tuple[Path, torch.Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for source, status in ((small_run[0], 0), (tmp_path, 1)):
        with pytest.raises(SystemExit) as caught:
            main([str(source), "--out", str(tmp_path / "out"), "--format", "torchscript"])
        assert caught.value.code == status
    out, err = capsys.readouterr()
    assert out.split() == [
        str(tmp_path / "out" / name) for name in ("features.torchscript.pt", "backbone.json")
    ]
    assert err.startswith("error: ") and err.count("\n") == 1
