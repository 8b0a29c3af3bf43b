"""Shared by all protocols: the options of an evaluation, the random baseline, the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from mas_labels.errors import ConfigError, DatasetError, reason_of
from mas_labels.shards import ShardSet
from mas_train.data.loader import print_note
from mas_train.data.views import describe_views
from mas_train.evaluation.features import Extraction, VideoFeatures, extract
from mas_train.evaluation.intervals import Outcomes, encode_right
from mas_train.evaluation.results import Result, describe_weights
from mas_train.inference.layers import backbone_features
from mas_train.inference.sources import text_digest
from mas_train.recipe import SCRATCH
from mas_train.training.untrained import untrained_weights
from mas_train.weights.backbone_weights import Weights, describe_unfinished, load_weights

FEATURE_FOLDER: Final = "features"
"""Name of the folder of cached features, next to that of the results: all protocols share it."""


@dataclass(frozen=True)
class Evaluation:
    """Options that all protocols share.

    Attributes
    ----------
    weights
        The weights to evaluate.
    extraction
        Device, workers and cache of computing features.
    out
        Folder of the result and its pictures.
    command
        The command line, kept in the result.
    feature_kind
        One of `mas_train.inference.options.FEATURE_KINDS`.
    baseline
        True to measure random weights of the same backbone, too.
    """

    weights: Weights
    extraction: Extraction
    out: Path
    command: str
    feature_kind: str = "pooled"
    baseline: bool = True

    def features(self, weights: Weights, shards: ShardSet) -> VideoFeatures:
        """Compute the features of all videos of a shard set, or read them from the cache.

        Raises the errors of `mas_train.evaluation.features.extract`, and `ConfigError` for clips that are too
        small for the network.
        """
        weights.backbone.output_features(shards.geometry)
        output, mean = backbone_features(weights.backbone, self.feature_kind), weights.pixel_mean
        return extract(weights.backbone, output, self.feature_kind, mean, shards, self.extraction)

    def require_same_length(self, train: ShardSet, test: ShardSet) -> None:
        """Raise `ConfigError` if clips of two sets have features of different lengths."""
        if self.feature_kind != "pooled":
            return
        lengths = [self.weights.backbone.output_features(shards.geometry) for shards in (train, test)]
        if lengths[0] != lengths[1]:
            raise ConfigError(
                f"expected features of one length, found {lengths[0]} for {describe_views(train.geometry)} "
                f"and {lengths[1]} for {describe_views(test.geometry)}: give --features mean, or label one "
                "set again"
            )

    def random_baseline(self, measure: Callable[[Weights], Measured], train: ShardSet) -> Measured:
        """Measure the network before its first step; nothing without a baseline.

        Random weights, and pixels, are their own baseline: they are not measured twice.

        Parameters
        ----------
        measure
            Measures weights.
        train
            Clips that a classifier is trained on in this protocol. Batch norm learns its statistics from the
            run's own training clips if they are still where the run read them, else from these.
        """
        if not self.baseline or self.weights.kind == SCRATCH or self.feature_kind == "pixels":
            return Measured({})
        device, workers = self.extraction.device, self.extraction.workers
        return measure(untrained_weights(self.weights, train, device, workers))


def make_evaluation(
    source: str,
    out: Path,
    device: torch.device,
    workers: int | None,
    command: str,
    kind: str,
    baseline: bool,
    pixel_mean: Sequence[float] | None = None,
) -> Evaluation:
    """Load the weights to evaluate and create the folder of results.

    Parameters
    ----------
    source
        A run's folder, a weights folder, a checkpoint, or ``"scratch"`` for random weights.
    out, command, kind, baseline
        As in `Evaluation`.
    pixel_mean
        Replaces the mean that the weights state.
    device, workers
        As in `mas_train.evaluation.features.Extraction`.

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
    extraction = Extraction(device, workers, cache=out.resolve().parent / FEATURE_FOLDER)
    weights = load_weights(source, pixel_mean=pixel_mean)
    for note in describe_unfinished(weights):
        print_note(note)
    return Evaluation(weights, extraction, out, command, kind, baseline)


def dataset_and_split(shards: ShardSet) -> tuple[str, str]:
    """Return the name of the data set and of the split that shards were made from.

    Raises
    ------
    DatasetError
        If the shards come from several.
    """
    plans = (shard.plan for _, shard in shards.each_shard())
    sources = {(str(plan.get("manifest")), str(plan.get("split"))) for plan in plans}
    if len(sources) != 1:
        names = ", ".join("/".join(source) for source in sorted(sources))
        raise DatasetError(
            f"expected shards of one split of one data set, found {names}: evaluate one at a time"
        )
    return sources.pop()


def has_class(features: VideoFeatures) -> NDArray[np.bool_]:
    """Return which videos have a class, (V,) bool.

    Raises
    ------
    DatasetError
        If no video has one.
    """
    known = features.classes >= 0
    if not known.any():
        raise DatasetError("the videos have no classes: this protocol needs them")
    return known


def right_videos(
    predicted: NDArray[np.integer], truth: NDArray[np.integer], features: VideoFeatures
) -> NDArray[np.bool_]:
    """Return which videos were recognised, (V,) bool: those with a class, then the failed ones as wrong."""
    return np.concatenate([predicted == truth, np.zeros(len(features.failed), bool)])


@dataclass(frozen=True)
class Measured:
    """Outcomes and figures that a protocol measured of some weights.

    Attributes
    ----------
    right
        Name of a figure -> whether each video was recognised, (V,) bool, or (tries, V) for several tries.
        The figure is the mean.
    others
        Figures that are no such mean.
    """

    right: Mapping[str, NDArray[np.bool_]]
    others: Mapping[str, float] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, float]:
        """All figures, shares from 0 to 1."""
        return {**{name: float(values.mean()) for name, values in self.right.items()}, **self.others}


def group_names(features: VideoFeatures, crosses_classes: bool = False) -> list[str]:
    """Return the name of each video's group, (V,); a video without one is a group of its own.

    Parameters
    ----------
    features
        The videos.
    crosses_classes
        Whether a group's name is one group in all classes, such as a person; otherwise names count within
        a class, such as UCF101's numbers.
    """
    rows = zip(features.paths, features.classes, features.groups, strict=True)
    return [
        f"video {path}" if group is None else f"group {group}{'' if crosses_classes else f' of {number}'}"
        for path, number, group in rows
    ]


def tested_groups(features: VideoFeatures, crosses_classes: bool = False) -> tuple[str, list[str]]:
    """Return words for the groups of the tested videos, and the group of each, as `right_videos` has them.

    A failed video is a group of its own. Parameters as in `group_names`.
    """
    all_names, tested = group_names(features, crosses_classes), np.flatnonzero(has_class(features))
    is_grouped = any(features.groups[row] is not None for row in tested)
    names = [all_names[row] for row in tested] + [f"video {path}" for path in features.failed]
    return ("groups of videos" if is_grouped else "videos"), names


def make_result(
    evaluation: Evaluation,
    protocol: str,
    shards: ShardSet,
    features: VideoFeatures,
    measured: Measured,
    random: Measured,
    details: dict[str, Any],
    groups: tuple[str, Sequence[Any]] | None = None,
) -> Result:
    """Combine figures with the weights, the test set and the command that they belong to.

    Parameters
    ----------
    evaluation, protocol
        The options of the measurement, and the protocol's name.
    shards, features
        The test videos.
    measured, random
        What was measured of the weights, and of random ones.
    details
        Anything else that the protocol reports; ``"incomplete"`` is extended, ``"without_class"`` added here.
    groups
        Words for the groups that intervals are over, and the group of each video (or pair) of
        `Measured.right`; None for `tested_groups`.
    """
    dataset, split = dataset_and_split(shards)
    incomplete = [*details.get("incomplete", []), *map(str, shards.incomplete)]
    details = {**details, "incomplete": list(dict.fromkeys(incomplete))}
    is_tested = (features.classes >= 0) | (features.classes < 0).all()  # ASLAN's videos have no classes
    if without_class := int((features.clip_counts[~is_tested] > 0).sum()):  # 0: of a class not learnt
        details["without_class"] = without_class
    unit, names = groups or tested_groups(features)
    outcomes = Outcomes(
        text_digest(*np.asarray(features.paths, object)[is_tested], *features.failed),
        unit,
        np.unique(np.asarray(names), return_inverse=True)[1].tolist(),
        {name: encode_right(values) for name, values in measured.right.items()},
        {name: encode_right(values) for name, values in random.right.items()},
    )
    return Result(
        protocol=protocol,
        dataset=dataset,
        split=split,
        figures=measured.figures,
        weights=describe_weights(evaluation.weights),
        videos=int(is_tested.sum()) + len(features.failed),
        clips=int(features.clip_counts[is_tested].sum()),
        failed=list(features.failed),
        command=evaluation.command,
        random_initialisation=random.figures,
        details=details,
        outcomes=asdict(outcomes),
        intervals=outcomes.bounds,
    )
