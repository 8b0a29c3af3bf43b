"""Export of weights to a folder that other programs read (`mas-export`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from mas_labels.errors import CheckpointError
from mas_train.weights.backbone_weights import Weights, load_classifier, load_weights
from mas_train.weights.model_card import CardFacts, make_card
from mas_train.weights.programs import WRITERS, ViewProgram
from mas_train.weights.training_data import find_training_data
from mas_train.weights.write_folder import (
    PROGRAM_FILES,
    atomic_folder,
    classifier_head,
    describe_config,
    write_weights_folder,
)

TOLERANCE: Final = 1e-3
"""Largest difference of an exported file's outputs from the original's, relative to the largest output."""


def export_weights(
    source: str | Path,
    out: Path,
    formats: Sequence[str] = (),
    facts: CardFacts | None = None,
    shards: Sequence[str] = (),
    pixel_mean: Sequence[float] | None = None,
) -> list[Path]:
    """Export a network to a weights folder, each file read back and compared with the original.

    Parameters
    ----------
    source
        Anything that `mas_train.weights.backbone_weights.load_weights` reads.
    out
        The folder, which appears as a whole or not at all; older weights in it are replaced.
    formats
        Programs to write beside the weights, of `PROGRAM_FILES`: `ViewProgram` as ONNX or for
        `torch.export.load`, for any number of clips of the size that the network was trained on.
    facts
        What the model card says besides.
    shards
        The shards that the weights were trained on, for the card; without them those of a run's folder.
    pixel_mean
        Replaces the mean that the weights state.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    CheckpointError
        If the source cannot be read, or an exported file gives other outputs than the original.
    ConfigError
        If the folder cannot be written to, or the shards are not those of the weights.
    MissingDependencyError
        If a format needs a package that is not installed.
    """
    weights = load_weights(source, pixel_mean=pixel_mean)
    data = find_training_data(source, weights, shards)
    if data:
        weights = replace(weights, content={**weights.content, "data": data})
    program = make_program(weights)
    config = describe_config(weights)
    clips = torch.rand((2, *config["input_shape"]), generator=torch.Generator().manual_seed(0)) * 255
    with torch.inference_mode():
        expected = list(program(clips))
    card = make_card(config, out.resolve().name, facts or CardFacts(), formats)
    with atomic_folder(out) as hidden:
        write_weights_folder(hidden, weights, config, card, classifier_head(weights))
        with torch.inference_mode():
            written = list(make_program(load_weights(hidden))(clips))
        _require_equal(written, expected, "the weights")
        for name in dict.fromkeys(formats):
            outputs = WRITERS[name](hidden / PROGRAM_FILES[name], program, clips)
            _require_equal(outputs, expected, PROGRAM_FILES[name])
        names = sorted(path.name for path in hidden.iterdir())
    return [out / name for name in names]


def make_program(weights: Weights) -> ViewProgram:
    """Make the program of a network: with scores if it was fine-tuned."""
    head = load_classifier(weights).head if "classes" in weights.content else None
    return ViewProgram(weights.backbone, weights.pixel_mean, head)


def _require_equal(found: Sequence[Tensor], expected: Sequence[Tensor], name: str) -> None:
    """Raise an error if outputs of an exported file differ from the original's by more than rounding."""
    for ours, theirs in zip(found, expected, strict=True):
        difference = ((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12)).item()
        if not difference <= TOLERANCE:
            raise CheckpointError(
                f"{name}, read back, give outputs that differ by {difference:.2g}: nothing was written; "
                "report it with the versions of torch and of this program"
            )
