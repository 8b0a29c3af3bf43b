"""The model card of a weights folder: metadata as the Hugging Face Hub reads them, and text.

The card states what is known and says what is not: every sentence follows from ``config.json``, from results
that were measured, or from what the caller adds (`CardFacts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

import yaml

from mas_train.model.c3d import C3D_KINDS
from mas_train.runtime.markdown import markdown_table, show_percent
from mas_train.weights.card_code import loading_text, recipe_text

CLASSIFICATION: Final = "video-classification"
PAPER: Final = "Wang et al., *Self-supervised Spatio-temporal Representation Learning for Videos*, CVPR 2019"
KINDS: Final[Mapping[str, str]] = {
    "self-supervised": "It learned, without class labels, to predict statistics of motion and appearance in "
    "clips ({paper}).",
    "fine-tuned": "It learned, without class labels, to predict statistics of motion and appearance in clips "
    "({paper}), and was then fine-tuned to tell {classes} classes apart.",
    "supervised": "It was trained from random weights to tell {classes} classes apart: a baseline without "
    "self-supervised pre-training ({paper}).",
    "other": "Nothing is known here of its training.",
}
"""Sentence about the training, by `mas_train.weights.backbone_weights.Weights.kind`."""
PUBLIC_DATA: Final[Mapping[str, str]] = {
    "ucf101": "videos from YouTube; the rights to them are their owners'",
    "hmdb51": "published under CC BY 4.0; clips from films and from the web, whose rights are their owners'",
    "kinetics400": "videos from YouTube; the rights to them are their owners'",
}
"""Terms of public data sets, by the name of their manifest."""


@dataclass(frozen=True)
class CardFigure:
    """A figure that was measured, once or for several networks."""

    protocol: str
    """Words for the measurement, such as ``"accuracy after fine-tuning"``."""
    dataset: str
    split: str
    name: str
    """Such as ``"top-1"``."""
    videos: int
    values: tuple[float, ...]
    """Of each network, shares from 0 to 1."""
    random: tuple[float, ...] = ()
    """The same for random weights, where measured."""
    task: str = CLASSIFICATION
    """The Hub's name of the task."""
    row: tuple[float, ...] = ()
    """The same for all networks of a table's row, to stand next to this one's."""
    bounds: tuple[float, float] | None = None
    """95 % interval of the mean of `values`, over groups of test videos and networks; None if not known."""

    def show(self) -> str:
        """Return the mean of `values` in percent, with its interval, or without one the spread."""
        if self.bounds is None:
            return show_percent(self.values)
        low, high = (100 * bound for bound in self.bounds)
        return f"{show_percent([fmean(self.values)])} [{low:.1f}, {high:.1f}]"


@dataclass(frozen=True)
class CardFacts:
    """Facts for a card that weights do not state."""

    command: str = ""
    """The command that wrote the folder."""
    figures: Sequence[CardFigure] = ()
    measured_by: Sequence[str] = ()
    """Commands that measured the figures."""
    licence: str = "unknown"
    """The Hub's name of the licence of the weights."""
    notes: str = ""
    """Markdown below the figures."""
    about: str = ""
    """Sentence about the training, in the place of the one that follows from the weights."""


def make_card(config: Mapping[str, Any], name: str, facts: CardFacts, formats: Sequence[str] = ()) -> str:
    """Return the text of a model card, its metadata first.

    Parameters
    ----------
    config
        What ``config.json`` states.
    name
        The model's name.
    facts
        What it does not state.
    formats
        Programs that the folder holds.
    """
    parts = [
        f"---\n{yaml.safe_dump(_metadata(config, name, facts), sort_keys=False, allow_unicode=True)}---",
        f"# {name}",
        _summary(config, facts.about),
        f"## Use\n\n{loading_text(config, formats)}",
        f"## Training data\n\n{_data_text(config)}",
        f"## Training\n\n{_training_text(config, facts)}",
        f"## Measured\n\n{_figures_text(facts)}",
        f"## Not for\n\n{_limits(config)}",
    ]
    return "\n\n".join(parts) + "\n"


def _metadata(config: Mapping[str, Any], name: str, facts: CardFacts) -> dict[str, Any]:
    """Return the card's metadata; results only where there are figures."""
    metadata: dict[str, Any] = {
        "license": facts.licence,
        "library_name": "mas-video",
        "pipeline_tag": CLASSIFICATION if "classes" in config else "feature-extraction",
        "tags": ["video", config["backbone"], *(["self-supervised"] if config.get("labels") else [])],
    }
    datasets = list(dict.fromkeys(part["manifest"] for part in config.get("data", ())))
    datasets = [name for name in datasets if name in PUBLIC_DATA]
    if datasets:
        metadata["datasets"] = datasets
    if facts.figures:
        metadata["model-index"] = [{"name": name, "results": _results(facts.figures)}]
    return metadata


def _results(figures: Sequence[CardFigure]) -> list[dict[str, Any]]:
    """Return figures as the Hub's ``model-index`` lists them: by task and data set."""
    grouped: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for figure in figures:
        key = (figure.task, figure.protocol, figure.dataset, f"{figure.dataset}, {figure.split}")
        value = round(fmean(figure.values), 6)
        grouped.setdefault(key, []).append({"type": "accuracy", "name": figure.name, "value": value})
    return [
        {
            "task": {"type": task, "name": protocol},
            "dataset": {"type": dataset, "name": part},
            "metrics": metrics,
        }
        for (task, protocol, dataset, part), metrics in grouped.items()
    ]


def _summary(config: Mapping[str, Any], about: str) -> str:
    """Return what the network is, and what it sees."""
    wide = "" if config["width"] == 1 else f" of {config['width']:g} times the width"
    name = config["backbone"]
    network = f"C3D (`{name}`)" if name in C3D_KINDS else f"`{name}`"
    training = about or KINDS[config["kind"]].format(paper=PAPER, classes=_count_classes(config))
    _, frames, rows, cols = config["input_shape"]
    mean = ", ".join(f"{value:g}" for value in config["pixel_mean"])
    given = config.get("preprocessing")
    lines = [
        f"A {network}{wide}, from clips of videos to {config['features']} features. {training}",
        f"Input: {frames} frames of {rows} x {cols} pixels, R, G, B of 0 to 255, less the mean {mean}"
        + (f", {given}, since the file of weights does not state it." if given else "."),
    ]
    geometry = config["geometry"]
    step = geometry["frame_step"]
    lines.append(
        f"They are centres of frames resized to {geometry['frame_rows']} x {geometry['frame_cols']} pixels, "
        + ("each frame of the video." if step == 1 else f"one in {step} of the video.")
    )
    if config["input_frames"] == "residual":
        lines.append("The network itself takes the differences of neighbouring frames.")
    if config["input_stride"] > 1:
        lines.append("The network itself takes every second frame, and means of 2 x 2 pixels.")
    return "\n".join(lines)


def _count_classes(config: Mapping[str, Any]) -> str:
    """Return the number of classes of a fine-tuned network, first those with training videos if fewer."""
    count = len(config.get("classes", ()))
    seen = [len(part["classes"]) for part in config.get("data", ()) if "classes" in part]
    return f"{seen[0]} of {count}" if seen else str(count)


def _data_text(config: Mapping[str, Any]) -> str:
    """Return what is known of the training data and of its terms."""
    if not config.get("data"):
        return (
            "Not known here: neither the data set nor its terms are recorded with these weights. (mas-export "
            "reads both from the training shards, with `--shards`.)"
        )
    lines = []
    for part in config["data"]:
        name, videos = part["manifest"], f"{part['videos']:,} videos, " if "videos" in part else ""
        terms = PUBLIC_DATA.get(name, "not recorded in the shards; ask whoever provides it")
        classes = f" of the classes {', '.join(part['classes'])} alone" if "classes" in part else ""
        counts = f"{videos}{part['clips']:,} clips{classes}"
        name = name if name in PUBLIC_DATA else f"videos found by the manifest `{name}`"
        lines.append(f"- {name}, split `{part['split']}`: {counts}. Terms: {terms}.")
    if "classes" in config and config.get("pretraining"):
        lines.append("\nThis is the data of fine-tuning; that of pre-training is not recorded.")
    return "\n".join(lines)


def _training_text(config: Mapping[str, Any], facts: CardFacts) -> str:
    """Return labels, recipe and commands."""
    lines = []
    if config.get("labels"):
        recipe = config.get("pretraining" if "classes" in config else "recipe") or {}
        coding = f" (coding `{recipe['coding']}`)" if recipe.get("coding", "number") != "number" else ""
        lines.append(f"Labels that it predicted in pre-training{coding}: {', '.join(config['labels'])}.")
    if "step" in config:
        lines.append(f"Steps of pre-training: {config['step']:,}.")
    if "epoch" in config:
        share = f"{100 * config.get('label_fraction', 1.0):g}%"
        kept = " of a linear classifier on frozen features" if config.get("frozen") else ""
        of = config["recipe"]["epochs"]
        lines.append(f"Epochs of training{kept}: {config['epoch']} of {of}, with {share} of the labels.")
    lines.append(recipe_text(config) or "The recipe is not known here.")
    if facts.command:
        lines.append(f"This folder was written by\n\n    {facts.command}")
    return "\n\n".join(lines)


def _figures_text(facts: CardFacts) -> str:
    """Return the measured figures as a table, with their spread, and the commands behind them."""
    if not facts.figures:
        return facts.notes or "No results were given when this card was written."
    header = ["measured", "test videos", "figure", "%", "networks", "random weights, %"]
    has_rows = any(figure.row for figure in facts.figures)
    header += ["its row, %"] if has_rows else []
    rows = []
    for figure in facts.figures:
        tested = f"{figure.videos:,} of {figure.dataset}, {figure.split}"
        cells = [figure.protocol, tested, figure.name, figure.show()]
        cells += [str(len(figure.values)), show_percent(figure.random) if figure.random else "not measured"]
        cells += [show_percent(figure.row) if figure.row else "not measured"] if has_rows else []
        rows.append(cells)
    lines = [markdown_table(header, rows)]
    if any(figure.bounds for figure in facts.figures):
        lines.append("\nIn brackets 95 % intervals over groups of test videos, and over networks if several.")
    if has_rows or any(len(figure.values) > 1 for figure in facts.figures):
        lines.append("\n± is the standard deviation over networks of this recipe.")
    lines += ["\nMeasured by\n", *(f"    {command}" for command in facts.measured_by)]
    return "\n".join([*lines, *(["", facts.notes] if facts.notes else [])])


def _limits(config: Mapping[str, Any]) -> str:
    """Return what the network is not for."""
    lines = [
        "- Decisions about persons: it was made for research on video, and not tested for anything else.",
        "- Videos unlike those it was trained on: its outputs follow these, and any bias in them.",
    ]
    if "classes" in config:
        lines.append(
            "- Classes that it was not trained on: every video gets one of its own. Scores are uncalibrated."
        )
    return "\n".join(lines)
