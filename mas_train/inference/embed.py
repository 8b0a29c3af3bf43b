"""Features of the clips or videos of a source, written to one file: the work of `mas-embed`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mas_labels.system.extras import package_versions
from mas_train.inference.feature_files import COLUMNS, FeatureTable, choose_writer, to_json
from mas_train.inference.feature_store import FeatureStore
from mas_train.inference.layers import backbone_features
from mas_train.inference.options import EmbedOptions
from mas_train.inference.outputs import clip_outputs
from mas_train.inference.progress import show_progress
from mas_train.inference.sources import ClipPlace, EndedVideo, FrameSource, SourceBatch
from mas_train.model.similarity import normalise_rows, require_finite_outputs
from mas_train.model.video_means import RunningMean
from mas_train.weights.backbone_weights import Weights, weights_digest

PROVENANCE_VERSION: Final = 1
PACKAGES: Final = ("torch", "numpy", "av")
"""Packages whose versions, beside this project's, decide the bits of features."""


@dataclass(frozen=True)
class EmbedResult:
    """Numbers of a finished run.

    Attributes
    ----------
    videos, failures
        Number of videos in the file, and of those that could not be used, or not to their end.
    clips
        Number of clips that this run computed.
    seconds
        Time that this took.
    waiting
        Share of it that was spent waiting for clips.
    """

    videos: int
    failures: int
    clips: int
    seconds: float
    waiting: float


def embed(
    weights: Weights,
    source: FrameSource,
    options: EmbedOptions,
    out: Path,
    device: torch.device,
    workers: int | None,
    batch_size: int,
    look: Callable[[FeatureTable], None] | None = None,
) -> EmbedResult:
    """Write the features of all clips or videos of a source to a file; resume a run that was stopped.

    Parameters
    ----------
    weights
        The network.
    source
        The clips.
    options
        Layer and rows.
    out
        The file, whose ending names its format (`mas_train.inference.feature_files`).
    device, workers, batch_size
        Where and how features are computed; on a CPU they do not depend on `workers` and `batch_size`.
    look
        Called with all rows after they are written, such as to draw them.

    Raises
    ------
    ConfigError
        If the network has no such layer, the clips are too small for it, or the file exists or has an
        unknown ending.
    MissingDependencyError
        If the format needs a package that cannot be imported.
    InputError
        If a feature is not finite.
    StorageError
        If the disk is full.
    """
    write = choose_writer(out)
    output = backbone_features(weights.backbone, options.layer)
    size = weights.backbone.output_features(source.geometry, output)
    provenance = describe_features(weights, source, options)
    run = provenance | {"videos": source.digest, "device": device.type}
    del run["weights"]  # a path, which may change; their digest stays
    with FeatureStore(out.absolute(), run, size) as store:
        rows = RowCollector(store, options, source.classes)
        result = _compute(weights, output, source, rows, device, workers, batch_size)
        table = store.publish(write, COLUMNS[options.per], to_json(provenance))
    if look is not None:
        look(table)
    return result


def describe_features(weights: Weights, source: FrameSource, options: EmbedOptions) -> dict[str, Any]:
    """Return the origin of features, as their files state it."""
    return {
        "format": "mas-features",
        "version": PROVENANCE_VERSION,
        **asdict(options),
        "weights": weights.source,
        "weights_sha256": weights_digest(weights.backbone),
        "kind": weights.kind,
        "recipe": dict(weights.recipe),
        "pixel_mean": list(weights.pixel_mean),
        "geometry": asdict(source.geometry),
        "clips": dict(source.cut),
        "versions": package_versions(*PACKAGES),
    }


class RowCollector:
    """Makes the rows of videos from their clips, and stores them when a video ends.

    Parameters
    ----------
    store
        The finished videos.
    options
        Layer and rows.
    classes
        Name of each video whose class is known -> its class.
    """

    def __init__(self, store: FeatureStore, options: EmbedOptions, classes: Mapping[str, str]) -> None:
        self._store, self._options, self._classes = store, options, classes
        self._places: dict[str, list[ClipPlace]] = {}
        self._means: dict[str, RunningMean] = {}

    @property
    def done(self) -> Mapping[str, bool]:
        """Name of each finished video -> whether it failed."""
        return self._store.done

    def add(self, place: ClipPlace, feature: NDArray[np.float32]) -> None:
        """Add a clip; clips come in the order of the source."""
        self._places.setdefault(place.video, []).append(place)
        if self._options.per == "video":
            self._means.setdefault(place.video, RunningMean()).add(feature)
        else:
            self._store_feature(place.video, feature)

    def end(self, video: EndedVideo) -> None:
        """Store the rows of a video."""
        places, failure = self._places.pop(video.name, []), video.failure
        first: dict[str, Any] = {"video": video.name, "class": self._classes.get(video.name)}
        reason = dict(zip(("stage", "code", "message"), failure[1:], strict=True)) if failure else {}
        if self._options.per == "video":
            if places:
                self._store_feature(video.name, self._means.pop(video.name).result())
            seconds = places[-1].describe()["end_seconds"] if places else None
            rows = [{**first, "clips": len(places), "seconds": seconds, **reason}]
        else:
            rows = [{**first, **place.describe()} for place in places]
            rows += [{**first, **reason}] if failure else []
        self._store.finish(video.name, rows, failure is not None, video.is_unreadable)

    def _store_feature(self, video: str, feature: NDArray[np.float32]) -> None:
        if self._options.normalise:
            feature = normalise_rows(feature[None])[0].astype(np.float32)
        self._store.add(video, feature)


class Waited:
    """Items of an iterator, and the time that was spent waiting for them.

    Attributes
    ----------
    seconds
        That time so far.
    """

    def __init__(self, items: Iterator[SourceBatch]) -> None:
        self._items, self.seconds = items, 0.0

    def __iter__(self) -> Iterator[SourceBatch]:
        while True:
            began = time.monotonic()
            item = next(self._items, None)
            self.seconds += time.monotonic() - began
            if item is None:
                return
            yield item


def _compute(
    weights: Weights,
    output: Callable[[Tensor], Tensor],
    source: FrameSource,
    rows: RowCollector,
    device: torch.device,
    workers: int | None,
    batch_size: int,
) -> EmbedResult:
    """Compute the features of the videos that are not finished yet."""
    done = frozenset(rows.done)
    clips, began = 0, time.monotonic()
    batches = source.batches(batch_size, workers, device, done)
    with closing(batches):  # type: ignore[type-var]
        waited = Waited(batches)
        outputs = clip_outputs(weights.backbone, output, weights.pixel_mean, source.geometry, waited, device)
        for batch, features in show_progress(outputs, len(source.videos) - len(done), "features"):
            require_finite_outputs("features", features)  # NaN stands for no feature
            for place, feature in zip(batch.clips, features, strict=True):
                rows.add(place, feature)
            for video in batch.ended:
                rows.end(video)
            clips += len(features)
    seconds = time.monotonic() - began
    return EmbedResult(
        len(rows.done), sum(rows.done.values()), clips, seconds, waited.seconds / max(seconds, 1e-9)
    )
