"""Results of the protocols: one JSON file each, shown next to the published figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ConfigError, DatasetError, reason_of, unavailable
from mas_labels.schema import RESULT_FORMAT
from mas_labels.system.files import write_text
from mas_train.data.class_match import describe_left_out
from mas_train.evaluation.intervals import LEVEL, MIN_GROUPS, Outcomes, decode_right, interval
from mas_train.evaluation.linear import describe_c
from mas_train.evaluation.published import TEST_VIDEOS, published_rows
from mas_train.recipe import SCRATCH, with_defaults

if TYPE_CHECKING:
    from mas_train.weights.backbone_weights import Weights

MAX_SHOWN_CLASSES = 10
"""Number of the best classes, and of the worst, that are shown where there are more than twice as many."""
NO_OUTCOMES: Final = "made by a version that kept no outcomes of single videos (evaluate again to have them)"


@dataclass(frozen=True)
class Result:
    """Result of one protocol.

    Attributes
    ----------
    protocol
        ``"accuracy"``, ``"retrieval"``, ``"probe"``, ``"groups"``, ``"aslan"`` or ``"yupenn"``.
    dataset, split
        The test set, as named in the shards.
    figures
        Name -> value; shares from 0 to 1. Tables show the first one.
    weights
        Origin of the weights: source, kind, preset and targets of pre-training, width, share of labels; a
        digest of the recipes of all training but for their seeds.
    videos, clips
        Number of test videos in all, failed ones included, and of clips.
    failed
        Paths of the test videos that have no clip.
    command
        The command that produced the result.
    random_initialisation
        The same figures for random weights (``"accuracy"``: for the network fine-tuned from them); empty
        if they were not measured.
    details
        Anything else that the protocol reports.
    outcomes
        Outcome of each test video: the entries of `mas_train.evaluation.intervals.Outcomes`. Empty in results
        of versions that kept none; such figures have no intervals.
    intervals
        Their intervals: `Outcomes.bounds`.
    """

    protocol: str
    dataset: str
    split: str
    figures: dict[str, float]
    weights: dict[str, Any]
    videos: int
    clips: int
    failed: list[str]
    command: str
    random_initialisation: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    outcomes: dict[str, Any] = field(default_factory=dict)
    intervals: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    @property
    def tested(self) -> Outcomes | None:
        """The outcomes; None if the result has none."""
        return Outcomes(**self.outcomes) if self.outcomes else None


def describe_weights(weights: Weights) -> dict[str, Any]:
    """Return the origin of weights, as `Result.weights` holds it."""
    content, pretraining = weights.content, weights.pretraining
    filters = [recipe.get("where") for recipe in (pretraining, weights.recipe)]
    is_untrained = content.get("step") == 0 or pretraining.get("epochs") == 0  # mas-train --epochs 0
    before = {"self-supervised": SCRATCH, "fine-tuned": "supervised"} if is_untrained else {}
    recipes = [{**with_defaults(recipe), "seed": None} for recipe in (weights.recipe, pretraining)]
    return {
        "source": weights.source,
        "kind": before.get(weights.kind, weights.kind),
        "preset": pretraining.get("preset"),
        "targets": pretraining.get("targets", "joint") if pretraining else None,
        "coding": pretraining.get("coding"),
        "backbone": weights.recipe["backbone"],
        "width": float(weights.recipe["width"]),
        "seed": int(weights.recipe["seed"]),
        "frozen": bool(content.get("frozen", False)),
        "label_fraction": float(content.get("label_fraction", 1.0)),
        "epochs": content.get("epoch"),
        "filters": list(dict.fromkeys(filter(None, filters))),
        "recipe": hashlib.sha256(json.dumps(recipes, sort_keys=True).encode()).hexdigest()[:16],
    }


def row_key(result: Result) -> str:
    """Return the key of the row of the published tables that a result belongs to, see `Row.ours`.

    ``accuracy/scratch`` or ``accuracy/<preset of pre-training>/<targets>``, with ``/<coding>`` unless labels
    were predicted as their numbers, or these with coded orientations; of other protocols, such as
    ``aslan/<kind>`` and ``yupenn/<kind>`` with the kinds of
    `mas_train.weights.backbone_weights.Weights.kind`, followed by ``/preset <preset> <targets> <coding>``,
    of these what differs from the paper's ``ucf101``, ``joint`` and labels.
    """
    weights = result.weights
    coding = weights.get("coding") or "number"
    others = [] if coding in ("number", "sin-cos", "classes") else [coding]
    preset, targets = weights.get("preset"), weights.get("targets")
    if result.protocol != "accuracy":
        pretext = [] if preset in (None, "ucf101") else [f"preset {preset}"]
        pretext += [*([] if targets in (None, "joint") else [targets]), *others]
        is_trained = pretext and weights["kind"] not in ("scratch", "supervised")
        return "/".join([result.protocol, weights["kind"], *([" ".join(pretext)] if is_trained else [])])
    if weights["kind"] == "supervised":
        return "accuracy/scratch"
    return "/".join(["accuracy", str(preset), str(targets), *others])


def save_result(result: Result, path: Path) -> None:
    """Write a result as JSON, atomically.

    Raises
    ------
    ConfigError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": RESULT_FORMAT, **asdict(result)}, indent=2)
        write_text(path, text + "\n")
    except OSError as error:
        raise ConfigError(f"cannot write {path} ({reason_of(error)}): give another --out") from error


def save_and_show(result: Result, folder: Path) -> str:
    """Write a result as `<protocol>.json` into a folder; return it as text, with the file's path.

    Raises
    ------
    ConfigError
        If it cannot be written.
    """
    path = folder / f"{result.protocol}.json"
    save_result(result, path)
    return f"{show_result(result)}\nwrote {path}"


def read_results(folders: Sequence[Path]) -> list[Result]:
    """Read all results in folders and below them, sorted by path.

    Raises
    ------
    DatasetError
        If there are none, or one is corrupt.
    UnavailableError
        If one cannot be read at the moment.
    """
    results = []
    for path in sorted(path for folder in folders for path in folder.rglob("[!.]*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict) and content.pop("format", None) == RESULT_FORMAT:
                results.append(Result(**content))
        except OSError as error:
            raise unavailable(path, error) from error
        except (ValueError, TypeError) as error:
            raise DatasetError(f"{path} is not a readable result ({error}): evaluate again") from error
    if not results:
        names = ", ".join(map(str, folders))
        raise DatasetError(f"no results of mas-eval or mas-finetune in {names}")
    return results


def show_result(result: Result) -> str:
    """Return a result as text, with random weights, published figures and warnings next to it."""
    lines = [
        f"{result.protocol} on {result.dataset}, split {result.split}: {result.videos} videos, "
        f"{result.clips} clips, weights {result.weights['source']} ({result.weights['kind']})"
    ]
    width = max(map(len, result.figures))
    random = result.random_initialisation
    for name, value in result.figures.items():
        line = f"  {name:<{width}}  {value:7.4f}{_show_bounds(result, 'figures', name)}"
        if name in random:
            of_random = _show_bounds(result, "random_initialisation", name)
            gained = _show_bounds(result, "difference", name)
            line += f"   random initialisation {random[name]:7.4f}{of_random}{gained}"
        lines.append(line)
    lines += _notes(result)
    published = published_rows(result.protocol, result.dataset)
    lines += [f"  published, {method}: {figure / 100:.4f}" for method, figure in published]
    if "per_class" in result.details:
        lines += _class_lines(result.details)
    if result.protocol == "accuracy" and not random and result.weights["kind"] != "supervised":
        lines.append("  random initialisation: not measured; --scratch-run names such a run")
    details = result.details
    warnings = [*details.get("incomplete", []), *describe_left_out(details.get("left_out", {}))]
    if number := details.get("without_class"):
        warnings.append(f"{number} test videos without a class are left out")
    warnings += details.get("leaks", [])
    lines += [f"  warning: {warning}" for warning in warnings]
    expected = TEST_VIDEOS.get((result.dataset, result.split))
    if expected not in (None, result.videos):
        lines.append(f"  not comparable: {result.videos} of the test set's {expected} videos")
    if result.failed:
        lines.append(f"  {len(result.failed)} videos gave no clip and count as wrong:")
        lines += [f"    {path!r}" for path in result.failed]
    return "\n".join(lines)


def _show_bounds(result: Result, kind: str, name: str) -> str:
    """Return an interval of `Outcomes.bounds` as text; empty without one."""
    numbers = result.intervals.get(kind, {}).get(name)
    if numbers is None:
        return ""
    *estimate, low, high = numbers
    if estimate:
        return f", difference {estimate[0]:+.4f} [{low:+.4f}, {high:+.4f}]"
    return f" [{low:.4f}, {high:.4f}]"


def _notes(result: Result) -> list[str]:
    """Return lines that say what the intervals are over, how C was chosen, and which ranks are left out."""
    lines, tested = [], result.tested
    if tested is None:
        lines.append(f"  without intervals: {NO_OUTCOMES}")
    else:
        number = len(set(tested.groups))
        few = "" if result.intervals.get("figures") else f", too few for intervals: {MIN_GROUPS} or more"
        lines.append(
            f"  in brackets: {LEVEL:.0%} intervals over {number} {tested.unit}, of this network{few}"
        )
    chosen = result.details.get("c")
    if isinstance(chosen, Mapping):  # older versions kept the C that was given
        lines += [f"  {name}: {describe_c(facts)}" for name, facts in chosen.items()]
    if missing := result.details.get("pairs_without_features"):
        lines.append(
            f"  {missing} of {result.details['pairs']} pairs: a video gave no clip; they count as wrong"
        )
    ranks = result.details.get("left_out_ranks")
    if ranks:
        videos = result.details["gallery_videos"]
        lines.append(f"  left out: top-{', top-'.join(map(str, ranks))}; the gallery has {videos} videos")
    return lines


def right_of(results: Sequence[Result], figure: str) -> NDArray[np.float64] | None:
    """Return which videos the networks of some results recognised, (N, V), in which share of tries.

    None if a result keeps no outcomes, or they are of different videos.
    """
    tested = [result.tested for result in results]
    kept = [outcomes for outcomes in tested if outcomes is not None]
    if not kept or len(kept) < len(results) or len({outcomes.videos for outcomes in kept}) > 1:
        return None
    return np.stack([decode_right(outcomes.right[figure]) for outcomes in kept])


def figure_bounds(results: Sequence[Result], figure: str) -> tuple[float, float] | None:
    """Return the 95 % interval of a figure's mean over some networks; None if it cannot be computed."""
    tested = results[0].tested
    if tested is None or figure not in tested.right or (right := right_of(results, figure)) is None:
        return None
    found = interval(right, tested.groups)
    return None if found.low is None or found.high is None else (found.low, found.high)


def _class_lines(details: Mapping[str, Any]) -> list[str]:
    """Return one line per class, the best first; of many classes only the best and the worst."""
    rows = [
        (share, name, sum(counts))
        for share, name, counts in zip(
            details["per_class"], details["classes"], details["confusion"], strict=True
        )
        if share is not None
    ]
    rows.sort(key=lambda row: (-row[0], row[1]))
    width = max((len(name) for _, name, _ in rows), default=0)
    lines = [f"    {name:<{width}}  {share:7.4f} of {count} videos" for share, name, count in rows]
    if len(lines) > 2 * MAX_SHOWN_CLASSES:
        left_out = len(lines) - 2 * MAX_SHOWN_CLASSES
        lines[MAX_SHOWN_CLASSES:-MAX_SHOWN_CLASSES] = [f"    ... {left_out} more in classes.csv"]
    return ["  by class, top-1:", *lines]
