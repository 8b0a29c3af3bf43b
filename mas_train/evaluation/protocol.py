"""From weights and shards to results: each protocol, end to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mas_labels.errors import ConfigError, DatasetError, MissingDependencyError, reason_of
from mas_labels.shards import ShardSet
from mas_train.evaluation.features import Extraction, VideoFeatures, backbone_features, extract
from mas_train.evaluation.results import Result, save_result, show_result
from mas_train.weights.load import SCRATCH, Weights, load_weights


@dataclass(frozen=True)
class Evaluation:
    """What all protocols share.

    Attributes
    ----------
    weights
        What is tested.
    how
        How features are computed.
    out
        Folder of pictures.
    command
        The command line, kept in the result.
    kind
        Which features, one of `mas_train.evaluation.features.KINDS`.
    baseline
        Whether random weights of the same backbone are measured, too.
    """

    weights: Weights
    how: Extraction
    out: Path
    command: str
    kind: str = "pooled"
    baseline: bool = True

    def features(self, weights: Weights, shards: ShardSet) -> VideoFeatures:
        """Features of all videos in some shards."""
        output = backbone_features(weights.backbone, self.kind)
        return extract(weights.backbone, output, self.kind, weights.pixel_mean, shards, self.how)

    def random_figures(self, measure: Callable[[Weights], dict[str, float]]) -> dict[str, float]:
        """Measure random weights of the same backbone, unless that is what is tested."""
        if not self.baseline or self.weights.kind == SCRATCH:
            return {}
        recipe = self.weights.recipe
        stride = int(recipe.get("input_stride", 1))
        return measure(
            load_weights(SCRATCH, float(recipe["width"]), backbone=recipe["backbone"], input_stride=stride)
        )


def describe_weights(weights: Weights) -> dict[str, Any]:
    """Say where weights come from, as results keep it."""
    content: Mapping[str, Any] = weights.content
    before = weights.pretraining
    return {
        "source": weights.source,
        "kind": weights.kind,
        "preset": before.get("preset"),
        "targets": before.get("targets", "joint") if before else None,
        "backbone": weights.recipe["backbone"],
        "width": float(weights.recipe["width"]),
        "seed": int(weights.recipe["seed"]),
        "frozen": bool(content.get("frozen", False)),
        "label_fraction": float(content.get("label_fraction", 1.0)),
        "epochs": content.get("epoch"),
    }


def shards_of(shards: ShardSet) -> tuple[str, str]:
    """Return data set and split of shards.

    Raises
    ------
    DatasetError
        If they are of several.
    """
    plans = (shards.shard(number).plan for number in range(len(shards.paths)))
    found = {(str(plan.get("manifest")), str(plan.get("split"))) for plan in plans}
    if len(found) != 1:
        names = ", ".join("/".join(pair) for pair in sorted(found))
        raise DatasetError(f"expected shards of one split of one data set, found {names}: name them apart")
    return found.pop()


def make_result(
    evaluation: Evaluation,
    protocol: str,
    shards: ShardSet,
    features: VideoFeatures,
    figures: dict[str, float],
    random: dict[str, float],
    details: dict[str, Any],
) -> Result:
    """Put figures together with what they were measured on and how."""
    dataset, split = shards_of(shards)
    known = int((features.classes >= 0).sum()) or len(features.paths)  # ASLAN's videos have no classes
    incomplete = [*details.get("incomplete", []), *map(str, shards.incomplete)]
    return Result(
        protocol=protocol,
        dataset=dataset,
        split=split,
        figures=figures,
        weights=describe_weights(evaluation.weights),
        videos=known + len(features.failed),
        clips=features.clips,
        failed=list(features.failed),
        command=evaluation.command,
        random_initialisation=random,
        details=details | {"incomplete": list(dict.fromkeys(incomplete))},
    )


def with_classes(found: VideoFeatures) -> NDArray[np.bool_]:
    """Return which videos have a class, (V,) bool.

    Raises
    ------
    DatasetError
        If none has.
    """
    known = found.classes >= 0
    if not known.any():
        raise DatasetError("the videos have no classes: this protocol needs them")
    return known


CACHE = "features"
"""Folder of features, beside that of the results: the protocols share them."""


def make_evaluation(
    source: str, out: Path, device: torch.device, workers: int, command: str, kind: str, baseline: bool
) -> Evaluation:
    """Load weights and prepare the folder of results.

    Raises
    ------
    CheckpointError
        If the weights cannot be read.
    ConfigError
        If the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {out} ({reason_of(error)}): give another --out") from error
    how = Extraction(device, workers, cache=out.resolve().parent / CACHE)
    return Evaluation(load_weights(source), how, out, command, kind, baseline)


def finish(result: Result, out: Path) -> str:
    """Write a result as `<protocol>.json`, and return it as text."""
    path = out / f"{result.protocol}.json"
    save_result(result, path)
    return f"{show_result(result)}\nwrote {path}"


C = 1.0
"""Weight of errors against the margin."""


def require_sklearn() -> ModuleType:
    """Import scikit-learn's `svm`, or say how to get it."""
    try:
        from sklearn import svm
    except ImportError as error:
        raise MissingDependencyError(
            f'this protocol needs scikit-learn, which does not load ({error}): pip install "mas-video[eval]"'
        ) from error
    return svm
