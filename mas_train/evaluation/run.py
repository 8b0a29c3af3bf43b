"""From weights and shards to results: each protocol, end to end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import DatasetError
from mas_labels.shard import ShardSet
from mas_train.class_match import match_classes
from mas_train.evaluation.aslan import Pairs, evaluate_pairs
from mas_train.evaluation.features import Extraction, VideoFeatures, backbone_features, extract
from mas_train.evaluation.figures import draw_roc
from mas_train.evaluation.neighbours import draw_neighbours
from mas_train.evaluation.results import Result
from mas_train.evaluation.retrieval import retrieval_accuracy
from mas_train.evaluation.yupenn import leave_one_out
from mas_train.leaks import find_leaks
from mas_train.weights import SCRATCH, Weights, load_weights


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


def evaluate_retrieval(evaluation: Evaluation, gallery: ShardSet, queries: ShardSet) -> Result:
    """Nearest-neighbour retrieval: test videos (`queries`) look for training videos (`gallery`).

    Draws `neighbours.png`: a few test videos, and the training videos nearest to them.

    Raises
    ------
    DatasetError
        If there are no clips or classes, or the two have no class in common.
    """
    match = match_classes(gallery.classes, queries)
    shards_of(queries)  # refuses before the work
    leaks = find_leaks(gallery, queries)

    def measure(weights: Weights) -> dict[str, float]:
        train = evaluation.features(weights, gallery)
        test = evaluation.features(weights, queries).in_classes(match)
        of_train, of_test = with_classes(train), with_classes(test)
        shares = retrieval_accuracy(
            train.values[of_train],
            train.classes[of_train],
            test.values[of_test],
            test.classes[of_test],
            len(test.failed),
        )
        return {f"top-{k}": share for k, share in shares.items()}

    figures = measure(evaluation.weights)
    test = evaluation.features(evaluation.weights, queries)
    train = evaluation.features(evaluation.weights, gallery)
    draw_neighbours(train, gallery, test, queries, evaluation.out / "neighbours.png")
    random = evaluation.random_figures(measure)
    details = {
        "features": evaluation.kind,
        "gallery_clips": len(gallery),
        "leaks": leaks,
        "left_out": match.left_out,
        "incomplete": [str(folder) for folder in gallery.incomplete],
    }
    return make_result(evaluation, "retrieval", queries, test.in_classes(match), figures, random, details)


def evaluate_yupenn(evaluation: Evaluation, shards: ShardSet, c: float) -> Result:
    """Leave-one-out recognition by a linear SVM.

    Raises
    ------
    DatasetError
        If the videos have no classes.
    """
    shards_of(shards)  # refuses before the work

    def measure(weights: Weights) -> dict[str, float]:
        found = evaluation.features(weights, shards)
        known = with_classes(found)
        recognised = leave_one_out(found.values[known], found.classes[known], c)
        right = int((recognised == found.classes[known]).sum())
        return {"accuracy": right / (int(known.sum()) + len(found.failed))}

    figures = measure(evaluation.weights)
    details = {"features": evaluation.kind, "svm_c": c}
    found = evaluation.features(evaluation.weights, shards)
    return make_result(
        evaluation, "yupenn", shards, found, figures, evaluation.random_figures(measure), details
    )


def evaluate_aslan(evaluation: Evaluation, shards: ShardSet, pairs: Pairs, view: int, c: float) -> Result:
    """Action similarity: ten folds of View 2, or the one of View 1; draws `roc.png`.

    Raises
    ------
    DatasetError
        If a sample is there twice.
    """
    shards_of(shards)  # refuses before the work
    curves: dict[str, NDArray[np.float64]] = {}
    details: dict[str, Any] = {"features": evaluation.kind, "svm_c": c, "view": view}

    def measure(weights: Weights) -> dict[str, float]:
        samples = by_sample(evaluation.features(weights, shards))
        found = evaluate_pairs(samples, pairs, tested=[1] if view == 1 else None, c=c)
        curves[f"{weights.kind}, AUC {found.auc:.3f}"] = found.roc
        details[f"accuracies, {weights.kind}"] = list(found.accuracies)
        details.update(pairs=found.pairs, pairs_without_features=found.failed_pairs)
        figures = {"accuracy": found.accuracy, "standard error": found.standard_error, "AUC": found.auc}
        return {name: value for name, value in figures.items() if not np.isnan(value)}

    figures = measure(evaluation.weights)
    random = evaluation.random_figures(measure)
    draw_roc(curves, evaluation.out / "roc.png")
    found = evaluation.features(evaluation.weights, shards)
    return make_result(evaluation, "aslan", shards, found, figures, random, details)


def by_sample(found: VideoFeatures) -> dict[int, NDArray[np.floating]]:
    """Return features by the number that is a sample's name.

    Raises
    ------
    DatasetError
        If a name is no number, or two files have one number.
    """
    samples: dict[int, NDArray[np.floating]] = {}
    paths: dict[int, str] = {}
    for path, values in zip(found.paths, found.values, strict=True):
        name = PurePosixPath(path).stem
        if not re.fullmatch(r"\d{4}", name):
            raise DatasetError(
                f"expected samples of four digits such as 0001.avi, found {path!r}: see aslan.yaml"
            )
        if int(name) in samples:
            raise DatasetError(
                f"sample {name} is there twice, {paths[int(name)]!r} and {path!r}: label one folder"
            )
        samples[int(name)], paths[int(name)] = values, path
    return samples
