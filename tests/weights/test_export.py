"""Weights folders: written whole, read back by this project, by plain torch, and as other programs' files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coloured import SMALL, run
from torch import Tensor

from mas_labels.errors import CheckpointError, ConfigError
from mas_labels.shards.shard_set import ShardSet
from mas_train.cli.export import main
from mas_train.cli.finetune import main as finetune_main
from mas_train.model.heads import make_model
from mas_train.model.targets import TargetCode
from mas_train.recipe import make_recipe
from mas_train.runtime.generators import generator_states
from mas_train.training.engine import make_optimizer
from mas_train.weights import export
from mas_train.weights.backbone_file import METADATA_KEY, BackboneConfig, read_backbone, write_safetensors
from mas_train.weights.backbone_weights import load_weights
from mas_train.weights.checkpoint import TrainingState, list_checkpoints, save_checkpoint
from mas_train.weights.export import export_weights, make_program

CLIPS = torch.rand(2, 3, 16, 112, 112, generator=torch.Generator().manual_seed(1)) * 255
CPU = torch.device("cpu")
BACKBONES = {"c3d": (1, "rgb"), "c3d-bn": (2, "residual"), "c3d-large-bn": (1, "rgb")}
"""Input stride and frames of each backbone that is tested."""


def write_checkpoint(run_folder: Path, backbone: str, stride: int, seen: str) -> Path:
    """Write a run's first checkpoint; return the run."""
    torch.manual_seed(0)
    changes = {"width": 1 / 32, "fc_width": 4, "initialisation": "he", "input_stride": stride}
    changes["input_frames"] = seen
    recipe = make_recipe("ucf101", backbone=backbone, **changes)
    code = TargetCode(recipe)
    model = make_model(recipe, code)
    model.train()
    model.backbone(CLIPS - 100)  # batch norm now has running statistics other than the initial ones
    state = TrainingState(model, make_optimizer(model, recipe), code)
    save_checkpoint(run_folder, state, recipe, [], [generator_states(CPU)])
    return run_folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each backbone."""
    root = tmp_path_factory.mktemp("runs")
    return {name: write_checkpoint(root / name, name, *seen) for name, seen in BACKBONES.items()}


@pytest.fixture(scope="module")
def tuned(train: ShardSet, runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned run."""
    out = tmp_path_factory.mktemp("tuned")
    options = ["--epochs", 1, "--fc-width", 8, "--batch-size", 4, "--out", out, *SMALL]
    assert run(finetune_main, "--init", runs["c3d-bn"], "--shards", *train.paths, *options) == 0
    return out


def outputs_of(source: Path) -> list[Tensor]:
    """The maps, and the scores of a fine-tuned network, of `CLIPS`."""
    with torch.inference_mode():
        return list(make_program(load_weights(source))(CLIPS))


def test_a_weights_folder_stands_for_the_run_that_it_was_written_of(
    runs: dict[str, Path], tuned: Path, tmp_path: Path
) -> None:
    for name, source in {**runs, "tuned": tuned}.items():
        files = export_weights(source, tmp_path / name)
        assert {path.name for path in files} >= {"model.safetensors", "config.json", "README.md"}
        ours, theirs = load_weights(tmp_path / name), load_weights(source)
        for found, expected in zip(outputs_of(tmp_path / name), outputs_of(source), strict=True):
            assert torch.equal(found, expected)
        assert (ours.kind, ours.pixel_mean, ours.geometry) == (
            theirs.kind,
            theirs.pixel_mean,
            theirs.geometry,
        )
        assert dict(ours.pretraining) == json.loads(json.dumps(dict(theirs.pretraining))) | {
            "pixel_mean": ours.pretraining["pixel_mean"]
        }
        assert load_weights(tmp_path / name / "model.safetensors").kind == theirs.kind
        before = (tmp_path / name / "model.safetensors").read_bytes()
        export_weights(source, tmp_path / name)
        assert (tmp_path / name / "model.safetensors").read_bytes() == before
        export_weights(tmp_path / name, tmp_path / f"{name}-again")
        for found, expected in zip(outputs_of(tmp_path / f"{name}-again"), outputs_of(source), strict=True):
            assert torch.equal(found, expected)


def test_files_of_networks_that_see_residual_frames_are_refused_by_programs_from_before_them(
    runs: dict[str, Path], tuned: Path, tmp_path: Path
) -> None:
    """Versions, and a field of the header, that these do not know; other files have neither."""
    for name, source, changed in (("c3d", runs["c3d"], 0), ("c3d-bn", runs["c3d-bn"], 1), ("t", tuned, 1)):
        export_weights(source, tmp_path / name)
        assert json.loads((tmp_path / name / "config.json").read_text())["version"] == 1 + changed
        header = (tmp_path / name / "model.safetensors").read_bytes()[:4000]
        assert (b"input_frames" in header) == bool(changed)
        path = source / "finetuned.pt" if source == tuned else list_checkpoints(source)[0]
        assert torch.load(path, weights_only=True)["version"] == 2 + changed


def test_the_cards_code_needs_nothing_of_this_project(
    runs: dict[str, Path], tuned: Path, tmp_path: Path
) -> None:
    """The block of plain torch in README.md, extracted and run without this project, gives the same."""
    code = ["import sys, os, torch; sys.modules['mas_train'] = sys.modules['mas_labels'] = None"]
    torch.save(CLIPS, tmp_path / "clips.pt")
    sources = {**runs, "tuned": tuned}
    for name, source in sources.items():
        export_weights(source, tmp_path / name)
        blocks = re.findall(r"```python\n(.*?)```", (tmp_path / name / "README.md").read_text(), flags=re.S)
        (lines,) = [block for block in blocks if "load_file" in block]
        code += [f"os.chdir({str(tmp_path / name)!r})", "clips, scores = torch.load('../clips.pt'), None"]
        code += [lines, "torch.save([maps, features, scores], 'outputs.pt')"]
    subprocess.run([sys.executable, "-I", "-c", "\n".join(code)], cwd=tmp_path, check=True)
    for name, source in sources.items():
        maps, features, scores = torch.load(tmp_path / name / "outputs.pt")
        expected = outputs_of(source)
        torch.testing.assert_close(maps, expected[0], rtol=1e-3, atol=1e-4)
        pooled = load_weights(source).backbone.pool(expected[0]).flatten(1)
        torch.testing.assert_close(features, pooled, rtol=1e-3, atol=1e-4)
        if name == "tuned":
            torch.testing.assert_close(scores, expected[1], rtol=1e-3, atol=1e-4)
        assert expected[0].abs().max() > 0.1 and (scores is None) == (name != "tuned")
    plain = (tmp_path / "c3d" / "README.md").read_text().split("```python\n")[2].split("```")[0]
    assert sum(not line.startswith(("import", "from")) for line in plain.splitlines() if line) <= 6


def test_huggingface_hub_reads_the_folder(runs: dict[str, Path], tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")

    class Net(torch.nn.Module, hub.PyTorchModelHubMixin):
        """Plain torch, with the names of the file and arguments of config.json."""

        def __init__(self, width: float, pixel_mean: list[float]) -> None:
            super().__init__()
            self.pixel_mean = pixel_mean
            channels = [3, *(int(count * width) for count in (64, 128, 256, 256, 256))]
            for number in range(1, 6):
                conv = torch.nn.Conv3d(channels[number - 1], channels[number], 3, padding=1)
                self.add_module(f"conv{number}", conv)

    export_weights(runs["c3d"], tmp_path / "model")
    net = Net.from_pretrained(tmp_path / "model", strict=True)
    expected = load_weights(runs["c3d"])
    assert net.pixel_mean == list(expected.pixel_mean)
    for found, own in zip(net.state_dict().values(), expected.backbone.state_dict().values(), strict=True):
        assert torch.equal(found, own)


def test_programs_give_the_same_outputs_of_any_number_of_clips(tuned: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    export_weights(tuned, tmp_path / "model", ["onnx", "pt2"])
    path = tmp_path / "model" / "model.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    program = torch.export.load(path.with_suffix(".pt2")).module()
    assert [output.name for output in session.get_outputs()] == ["features", "scores"]
    for count in (1, 2):
        expected = [output[:count].numpy() for output in outputs_of(tuned)]
        of_onnx = session.run(None, {"clips": CLIPS[:count].numpy()})
        of_torch = [output.detach().numpy() for output in program(CLIPS[:count])]
        for found in (of_onnx, of_torch):
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    assert path.with_suffix(".pt2").stat().st_size < CLIPS.nbytes, "the example was saved, too"


def test_a_folder_appears_as_a_whole_or_not_at_all(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_weights(runs["c3d"], tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    wrong = {"pt2": lambda path, program, clips: [output.detach() * 1.1 for output in program(clips)]}
    monkeypatch.setattr(export, "WRITERS", wrong)
    for out in (tmp_path / "model", tmp_path / "new"):
        with pytest.raises(CheckpointError, match=r"outputs that differ by 0\.1"):
            export_weights(runs["c3d-bn"], out, ["pt2"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"model"}
    export_weights(runs["c3d-bn"], tmp_path / "model")  # an older folder is replaced
    assert load_weights(tmp_path / "model").recipe["backbone"] == "c3d-bn"
    (tmp_path / "model" / "thesis.txt").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")
    for name, found in (("model", "thesis.txt"), ("other", "files of another program")):
        with pytest.raises(ConfigError, match=f"expected a new folder.*found {found}: give another --out"):
            export_weights(runs["c3d"], tmp_path / name)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "config.json",
            {"version": 3},
            "is of version 3, this program reads 1 and 2: install a later version",
        ),
        ("config.json", {"format": "other"}, "found a file of another program"),
        ("config.json", {"kind": None}, "lacks kind: export the folder again"),
        ("config.json", {"width": 0.5}, r"does not fit its config.json \(size mismatch"),
        ("config.json", {"backbone": "c4d"}, "does not fit its config.json .*c4d"),
        ("config.json", {"geometry": {"depth": 3}}, "no geometry that this version knows"),
        ("config.json", "text", "is not readable JSON"),
        ("model.safetensors", "text", "is not the file that config.json beside it describes"),
        ("training_videos.txt", "a b c", "is damaged: export the folder again"),
    ],
)
def test_a_damaged_folder_is_refused(
    file: str, change: dict[str, object] | str, message: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    export_weights(runs["c3d"], tmp_path / "model")
    path = tmp_path / "model" / file
    if isinstance(change, str):
        path.write_text(change)
    else:
        content = {**json.loads(path.read_text()), **change}
        path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_weights(tmp_path / "model").geometry  # noqa: B018
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (None, ""),
        (
            {"geometry": {"view_size": 10**9}},
            r"no geometry .* \(view_size: expected 8 to 4096, found 1000000000",
        ),
        ({"depth": 3}, "no backbone that this version knows .*'depth'.*: it is damaged, or of a later one"),
    ],
)
def test_a_single_file_of_earlier_exports_is_read(
    runs: dict[str, Path], tmp_path: Path, entries: dict[str, object] | None, message: str
) -> None:
    safetensors = pytest.importorskip("safetensors")
    weights = load_weights(runs["c3d-bn"])
    config = BackboneConfig("c3d-bn", 1 / 32, (1.0, 2.0, 3.0), "step-00000000.pt", 0, input_stride=2)
    path = tmp_path / "backbone.safetensors"
    write_safetensors(path, weights.backbone, config)
    (tmp_path / "backbone.json").write_text("{}")
    with safetensors.safe_open(path, framework="pt") as file:
        fields = json.loads(file.metadata()[METADATA_KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dictionary
    del fields["preprocessing"]  # of later exports
    header = {METADATA_KEY: json.dumps({**fields, **(entries or {})})}
    path.write_bytes(safetensors.torch.save(tensors, header))
    if entries is not None:
        with pytest.raises(CheckpointError, match=message):
            read_backbone(path)
        return
    for source in (path, tmp_path):
        found = load_weights(source)
        assert (found.kind, found.pixel_mean) == ("other", (1, 2, 3))
        for name, value in found.backbone.state_dict().items():
            assert torch.equal(value, weights.backbone.state_dict()[name])


def test_the_working_folder_is_a_folder_like_others(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path / "model")
    export_weights(runs["c3d"], Path())
    monkeypatch.chdir(tmp_path / "model")  # it was replaced
    export_weights(".", tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text())["source"] == "model"
    assert "# model\n" in Path("README.md").read_text()


def test_the_command_lists_its_files_and_names_what_took_torchscripts_place(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--out", tmp_path / "out", "--pixel-mean", 1, 2, 3, "--format", "safetensors"]
    assert run(main, *options, runs["c3d"]) == 0
    names = ("README.md", "config.json", "model.safetensors")
    out, err = capsys.readouterr()
    assert out.split() == [str(tmp_path / "out" / name) for name in names]
    assert err == f"note: {runs['c3d']} has not taken a step, its weights are random: mas-train --resume\n"
    assert load_weights(tmp_path / "out").pixel_mean == (1, 2, 3)
    assert run(main, tmp_path, "--out", tmp_path / "other") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert run(main, runs["c3d"], "--out", tmp_path / "other", "--format", "torchscript") == 2
    assert "take pt2, for torch.export.load" in capsys.readouterr().err
