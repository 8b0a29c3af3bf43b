"""Code in a model card: how to load the weights, with this project and in plain torch, and to train again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from mas_train.model.c3d import C3D_KINDS, STAGES
from mas_train.networks import NETWORK_FIELDS
from mas_train.recipe import SCRATCH
from mas_train.weights.public_layouts import public_names

PLAIN: Final = """\
import torch
from safetensors.torch import load_file
from torch.nn import functional

weights = load_file("model.safetensors")
maps = clips - torch.tensor({mean}).reshape(3, 1, 1, 1)
{residual}{stride}for n, pool in zip({names}, {pools}):
    maps = functional.conv3d(maps, weights[f"conv{{n}}.weight"], weights[f"conv{{n}}.bias"], padding=1)
{norm}    maps = functional.max_pool3d(functional.relu(maps), pool)
features = functional.max_pool3d(maps, 2, ceil_mode=True).flatten(1)
{scores}"""
RESIDUAL: Final = """\
maps = maps[:, :, 1:] - maps[:, :, :-1]
maps = torch.cat([maps, maps[:, :, -1:]], dim=2)
"""
STRIDE: Final = "maps = functional.avg_pool3d(maps[:, :, ::{0}], (1, {0}, {0}))\n"
NORM: Final = """\
    norm = [weights[f"bn{n}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    maps = functional.batch_norm(maps, *norm)
"""
HIDDEN: Final = """\
hidden = features
for n in ("fc6", "fc7"):
    hidden = functional.relu(functional.linear(hidden, weights[f"{n}.weight"], weights[f"{n}.bias"]))
"""
SCORES: Final = """\
scores = functional.linear({0}, weights["fc8.weight"], weights["fc8.bias"]).softmax(1)
"""


def loading_text(config: Mapping[str, Any], formats: Sequence[str] = ()) -> str:
    """Return how to use a weights folder, as Markdown."""
    geometry = config["geometry"]
    shape = (geometry["clip_frames"], geometry["frame_rows"], geometry["frame_cols"], 3)
    lines = [
        "With mas-video installed, in this folder:",
        "```python\nimport mas_train\n\n"
        'backbone = mas_train.load_backbone(".")\n'
        f"features = backbone(backbone.preprocess(frames))  # frames: uint8, RGB, {shape}\n```",
        "or, for videos: `mas-embed videos/ --weights . --out features.parquet`"
        + (" and `mas-predict videos/ --weights .`." if "classes" in config else "."),
    ]
    if config["backbone"] in C3D_KINDS:
        views = ", ".join(map(str, ["B", *config["input_shape"]]))
        lines += [
            f"In plain torch, for `clips` of shape ({views}), float, R, G, B of 0 to 255:",
            f"```python\n{plain_code(config)}```",
        ]
    outputs = "the maps before pooling" + (", and the scores" if "classes" in config else "")
    programs = {
        "onnx": f"`model.onnx` takes such `clips`, and gives {outputs}.",
        "pt2": f'`torch.export.load("model.pt2").module()(clips)` gives {outputs}, as a tuple.',
    }
    lines += [programs[name] for name in dict.fromkeys(formats)]
    return "\n\n".join(lines)


def plain_code(config: Mapping[str, Any]) -> str:
    """Return code of plain torch that computes the features, and scores if there are classes, of a C3D."""
    size = C3D_KINDS[config["backbone"]].get("size", "small")
    pools: list[Any] = []
    for number, stage in enumerate(STAGES[size]):
        last = 1 if number == len(STAGES[size]) - 1 else (1, 2, 2) if number == 0 else 2
        pools += [*[1] * (len(stage) - 1), last]
    scores = ""
    if "classes" in config:
        scores = SCORES.format("features") if config.get("frozen") else HIDDEN + SCORES.format("hidden")
    stride = config["input_stride"]
    return PLAIN.format(
        mean=list(config["pixel_mean"]),
        residual=RESIDUAL if config["input_frames"] == "residual" else "",
        stride=STRIDE.format(stride) if stride > 1 else "",
        names=_show_names(public_names(size)),
        pools=pools,
        norm=NORM if C3D_KINDS[config["backbone"]].get("batch_norm") else "",
        scores=scores,
    )


def _show_names(names: Sequence[str]) -> str:
    return f'"{"".join(names)}"' if all(len(name) == 1 for name in names) else f'"{" ".join(names)}".split()'


def recipe_text(config: Mapping[str, Any]) -> str:
    """Return the recipes as files for ``--config``, each with its command; empty if none is known."""
    parts, pretraining = [], config.get("pretraining")
    if "classes" not in config:
        pretraining = config.get("recipe")
    if pretraining:
        parts.append(_recipe_file("mas-train", "pretrain", pretraining, {}, "--out runs/first"))
    if "classes" in config:
        recipe, init = dict(config["recipe"]), config.get("init")
        if init != SCRATCH:  # the network is that of --init
            recipe = {name: value for name, value in recipe.items() if name not in NETWORK_FIELDS}
        options = {name: config[name] for name in ("frozen", "label_fraction") if name in config}
        start = "scratch" if init == SCRATCH else "runs/first" if pretraining else "WEIGHTS"
        last = f"--init {start} --out runs/tuned"
        parts.append(_recipe_file("mas-finetune", "finetune", recipe, options, last))
    return "\n\n".join(parts)


def _recipe_file(
    command: str, name: str, recipe: Mapping[str, Any], options: Mapping[str, Any], last: str
) -> str:
    """Return a file that a command takes, and the command."""
    content = {"command": command, "recipe": dict(recipe), **({"options": dict(options)} if options else {})}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    line = f"{command} --config {name}.yaml --shards SHARDS {last}"
    return f"The recipe, as a file `{name}.yaml` for\n\n    {line}\n\n```yaml\n{text}```"
