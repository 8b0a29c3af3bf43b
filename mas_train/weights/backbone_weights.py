"""A backbone with its weights and their origin: from a file or folder, or randomly initialised."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from mas_labels.errors import CheckpointError, ConfigError
from mas_labels.geometry import Geometry
from mas_train.model.backbone import Backbone
from mas_train.model.backbones import make_backbone
from mas_train.model.classifier import Classifier
from mas_train.networks import NETWORK_FIELDS
from mas_train.recipe import SCRATCH, Recipe, make_recipe, with_present_names
from mas_train.weights.backbone_file import fill_module, part_of, read_backbone, stored_geometry
from mas_train.weights.checkpoint import CHECKPOINT_FORMAT, CHECKPOINT_FORMATS, load_checkpoint
from mas_train.weights.tensor_file import read_tensors
from mas_train.weights.weights_folder import read_weights_folder
from mas_train.weights.weights_source import CONFIG_FILE, find_weights

FINETUNED: Final = "mas-finetune-checkpoint"
FINETUNED_VERSIONS: Final = {"rgb": 2, "residual": 3}
"""Version of a fine-tuned model by the input of its network, as of checkpoints."""
FINETUNED_FILE: Final = "finetuned.pt"
"""Name of a fine-tuned model in its run's folder."""
ALL_CHECKPOINT_FORMATS: Final = {**CHECKPOINT_FORMATS, FINETUNED: FINETUNED_VERSIONS}


@dataclass(frozen=True)
class Weights:
    """A backbone with its weights and their origin.

    Attributes
    ----------
    backbone
        On the CPU, in evaluation mode.
    recipe
        Entries of the recipe of its pre-training or fine-tuning.
    source
        `SCRATCH`, or the path of the checkpoint as given.
    content
        Content of the checkpoint, or what a weights folder keeps of it. Without an entry ``format``, as for
        weights of other programs, nothing is known of the training.
    """

    backbone: Backbone
    recipe: Mapping[str, Any]
    source: str
    content: Mapping[str, Any]

    @property
    def pixel_mean(self) -> tuple[float, float, float]:
        """Mean that is subtracted from R, G and B, on the scale of 0 to 255."""
        red, green, blue = self.recipe["pixel_mean"]
        return float(red), float(green), float(blue)

    @property
    def geometry(self) -> Geometry:
        """Geometry of the clips that the checkpoint was trained on; the default without a checkpoint."""
        return stored_geometry(self.content, self.source)

    @property
    def kind(self) -> str:
        """The kind of training behind the weights.

        ``"scratch"``: none; ``"self-supervised"``: pre-training; ``"fine-tuned"``: pre-training, then
        fine-tuning; ``"supervised"``: fine-tuning from random weights; ``"other"``: unknown, for weights from
        other programs, single files of `mas-export`, and what was fine-tuned from them.
        """
        if self.source == SCRATCH:
            return SCRATCH
        if "format" not in self.content:
            return "other"
        if self.content["format"] != FINETUNED:
            return "self-supervised"
        if self.content["pretraining"]:
            return "fine-tuned"
        return "supervised" if self.content["init"] == SCRATCH else "other"

    @property
    def pretraining(self) -> Mapping[str, Any]:
        """Entries of the recipe of self-supervised pre-training; empty without pre-training."""
        if self.content.get("format") == CHECKPOINT_FORMAT:
            return self.recipe
        return with_present_names(self.content.get("pretraining", {}))


FOLDER_ENTRIES: Final = (
    *("geometry", "recipe", "pretraining", "step", "epoch", "classes", "frozen", "label_fraction", "init"),
    *("content_hashes", "data", "preprocessing"),
)
"""Entries of a checkpoint that ``config.json`` of a weights folder keeps, where they are known."""
MEAN_GIVEN: Final = "which was given in place of "
"""Words before the origin of the pixel mean of public weights, if another mean has replaced it."""
BACKBONE_ENTRIES: Final = (*NETWORK_FIELDS, "pixel_mean", "initialisation")
"""Entries of a recipe that belong to the backbone rather than to a task."""


def backbone_entries(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a recipe that belong to the backbone."""
    return {name: recipe[name] for name in BACKBONE_ENTRIES if name in recipe}


def load_weights(
    source: str | Path,
    width: float = 1.0,
    seed: int = 0,
    backbone: str = "c3d",
    input_stride: int = 1,
    pixel_mean: Sequence[float] | None = None,
    input_frames: str = "rgb",
) -> Weights:
    """Load a backbone with its weights and their origin.

    Parameters
    ----------
    source
        `SCRATCH`, the folder of a run of `mas-train` or `mas-finetune`, a weights folder of `mas-export`, a
        checkpoint, or the weights of a C3D in a layout of `mas_train.weights.public_layouts`.
    width, seed, backbone, input_stride, input_frames
        Of a backbone from scratch.
    pixel_mean
        Mean of R, G and B, 0 to 255, instead of the one that the weights state.

    Raises
    ------
    CheckpointError
        If there is no checkpoint, or it is corrupt or of another version.
    """
    if source == SCRATCH:
        seen = {"input_stride": input_stride, "input_frames": input_frames}
        weights = random_weights(
            make_recipe("ucf101", width=width, seed=seed, backbone=backbone, **seen)  # type: ignore[arg-type]
        )
    else:
        weights = _stored_weights(source)
    if pixel_mean is None:
        return weights
    content, stated = weights.content, weights.content.get("preprocessing")
    if stated:
        content = {**content, "preprocessing": MEAN_GIVEN + stated.removeprefix(MEAN_GIVEN)}
    recipe = {**weights.recipe, "pixel_mean": tuple(map(float, pixel_mean))}
    return replace(weights, recipe=recipe, content=content)


def random_weights(recipe: Recipe) -> Weights:
    """Draw the weights of a recipe's backbone, those that its training begins with."""
    torch.manual_seed(recipe.seed)
    return Weights(_build_backbone(recipe).eval(), asdict(recipe), SCRATCH, {})


def _build_backbone(recipe: Recipe) -> Backbone:
    """Build the backbone of a recipe, with random weights."""
    built = (recipe.backbone, recipe.width, recipe.initialisation, recipe.input_stride, recipe.input_frames)
    return make_backbone(*built)


def _stored_weights(source: str | Path) -> Weights:
    """Read a backbone and its origin."""
    path = Path(source) / FINETUNED_FILE
    path = path if path.is_file() else find_weights(source)
    if path.is_dir():
        return _load_folder(path, str(source))
    content = {} if path.suffix == ".safetensors" else read_tensors(path)
    if not isinstance(content, dict) or content.get("format") not in ALL_CHECKPOINT_FORMATS:
        network, config = read_backbone(path)  # other files state no recipe
        known = {name: getattr(config, name) for name in BACKBONE_ENTRIES if hasattr(config, name)}
        stated = {"geometry": asdict(config.geometry), "preprocessing": config.preprocessing}
        return Weights(network, {**asdict(make_recipe("ucf101")), **known}, str(source), stated)
    if content["format"] != FINETUNED:
        network, _ = read_backbone(path)
        return Weights(network, content["recipe"], str(source), content)
    return _load_finetuned(path, str(source))


def _load_folder(folder: Path, source: str) -> Weights:
    """Load the backbone of a weights folder, and what it keeps of the checkpoint."""
    config, backbone, head, videos, groups = read_weights_folder(folder)
    stated: dict[str, Any] = {name: config[name] for name in FOLDER_ENTRIES if name in config}
    if "classes" in config:
        stated |= {"format": FINETUNED, "training_groups": groups}
        stated |= {"model": {f"head.{name}": weight for name, weight in head.items()}}
        stated |= {} if videos is None else {"training_videos": videos}
    elif config["kind"] == "self-supervised":
        stated["format"] = CHECKPOINT_FORMAT
    try:
        known: dict[str, Any] = {name: config[name] for name in BACKBONE_ENTRIES if name in config}
        stored = with_present_names(config.get("recipe", {}))
        recipe = known_recipe({**asdict(make_recipe("ucf101")), **stored, **known})
        known_recipe({**asdict(recipe), **with_present_names(config.get("pretraining", {}))})
        network = _fill_backbone(recipe, backbone)
    except (ConfigError, OverflowError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(
            f"{folder} does not fit its {CONFIG_FILE} ({reason}): export it again"
        ) from error
    return Weights(network.eval(), asdict(recipe), source, stated)


def _fill_backbone(recipe: Recipe, weights: Mapping[str, Tensor]) -> Backbone:
    """Build the backbone of a recipe with stored weights."""
    return fill_module(partial(_build_backbone, recipe), weights)


def _load_finetuned(path: Path, source: str) -> Weights:
    """Load the backbone of a fine-tuned model."""
    content = load_checkpoint(path, {FINETUNED: FINETUNED_VERSIONS})
    try:
        recipe = known_recipe(content["recipe"])
        network = _fill_backbone(recipe, part_of(content["model"], "backbone"))
    except (KeyError, OverflowError, RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} does not fit its own recipe ({reason}): it is damaged") from error
    return Weights(network.eval(), asdict(recipe), source, content)


def describe_unfinished(weights: Weights) -> list[str]:
    """Return a line if training has not begun, or fine-tuning has stopped before its last epoch."""
    if weights.content.get("step") == 0 and weights.recipe.get("epochs") != 0:
        return [f"note: {weights.source} has not taken a step, its weights are random: mas-train --resume"]
    done, planned = weights.content.get("epoch"), weights.recipe.get("epochs")
    if done is None or planned is None or done >= planned:
        return []
    return [f"note: {weights.source} is not finished, {done} of {planned} epochs: mas-finetune --resume"]


def load_classifier(weights: Weights) -> Classifier:
    """Build the fine-tuned model of a checkpoint or a weights folder, with its weights.

    Raises
    ------
    CheckpointError
        If it was not fine-tuned, has not finished an epoch, or is inconsistent.
    """
    content = weights.content
    if content.get("format") != FINETUNED:
        raise CheckpointError(
            f"{weights.source} has no classes: fine-tune it first (mas-finetune --init {weights.source})"
        )
    if content.get("epoch") == 0:
        raise CheckpointError(
            f"{weights.source} has not finished an epoch, its classifier is random: continue it with "
            "mas-finetune --resume"
        )
    try:
        recipe = known_recipe(content["recipe"])
        inputs = (recipe, bool(content["frozen"]), weights.geometry)
        build = partial(Classifier, weights.backbone, len(content["classes"]), *inputs)
        model = fill_module(build, part_of(content["model"], "head"), "head")
    except (KeyError, OverflowError, RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{weights.source} is inconsistent ({reason}): it is damaged") from error
    return model.eval()


def weights_digest(model: torch.nn.Module) -> str:
    """Return the SHA-256 of a model's weights and buffers, with their names and shapes, in hexadecimal.

    The input of a backbone that does not see plain frames counts as well.
    """
    digest = hashlib.sha256()
    for module in model.modules():
        if isinstance(module, Backbone) and module.input_frames != "rgb":
            digest.update(f"{module.input_frames};".encode())
    for name, value in model.state_dict().items():
        array = value.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def known_recipe(entries: Mapping[str, Any], **changes: Any) -> Recipe:
    """Make a recipe from stored entries, ignoring unknown ones, with changes.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """
    names = Recipe.__dataclass_fields__
    stated = with_present_names(entries).items()
    kept = {name: tuple(v) if isinstance(v, list) else v for name, v in stated if name in names}
    return Recipe(**{**kept, **{name: value for name, value in changes.items() if value is not None}})
