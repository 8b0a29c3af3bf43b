"""Weights that the small experiment gives away: the first network of each row, a folder with a card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

from mas_labels.errors import ConfigError, DatasetError, reason_of, unavailable
from mas_labels.system.files import write_text
from mas_train.evaluation.results import figure_bounds
from mas_train.reproduce.footage import OTHERS
from mas_train.reproduce.measure import MEASURES, Cell, read_measure
from mas_train.reproduce.page import describe_machine
from mas_train.reproduce.plan import Step, show_command
from mas_train.reproduce.run import done_steps
from mas_train.reproduce.small import ROWS, TUNINGS, Experiment, network_name, train_parts
from mas_train.runtime.markdown import markdown_table
from mas_train.weights.export import export_weights
from mas_train.weights.model_card import CardFacts, CardFigure

WEIGHTS_FOLDER: Final = "weights"
RESULTS_FILE: Final = "results.json"
GIVEN_ROWS: Final = {
    "random": "random",
    "motion": "motion",
    "appearance": "appearance",
    "joint": "joint",
    "best": "joint-best",
}
"""Rows of which a network is given away, and the name of its folder."""
FINETUNED: Final = ("best", "all", "joint-finetuned")
"""The row and the way of fine-tuning of the fine-tuned network that comes along, and its folder."""
DIGITS: Final = 9
"""Decimal places to which two figures are equal."""
LICENCE: Final = "mit"
"""Licence of the project, of which the weights are a part."""


Figures = Mapping[str, Sequence[CardFigure]]
"""Step that measured it -> figures of a network, next to those of all networks of its row."""


class GivenNetwork(NamedTuple):
    """A network that is given away."""

    name: str
    """Name of its folder."""
    title: str
    """Its row in the tables."""
    source: Path
    """The run."""
    steps: tuple[str, ...]
    """The steps of its training."""
    figures: Figures
    """Those that are measured."""
    is_of_row: bool
    """True if the row counts all figures of its training: then it is the row's first network."""


class PublishedTable(NamedTuple):
    """The tables of a page."""

    machine: str
    """Processor and cores of the machine that wrote them."""
    cells: tuple[Cell, ...]


def write_small_weights(experiment: Experiment, steps: Sequence[Step], work: Path, out: Path) -> list[Path]:
    """Write the networks of the first seed of the first split, those that are done, and a page about them.

    Parameters
    ----------
    experiment, steps
        The experiment and its plan.
    work
        The work folder, with the networks and their results.
    out
        Folder of the page. The figures of the rows are read from its ``results.json``; the weights are
        written into ``weights/`` in it.

    Returns
    -------
    The weights folders, and the page.

    Raises
    ------
    CheckpointError
        If a network cannot be read.
    ConfigError
        If a file cannot be written, or `work` holds the results of another plan.
    DatasetError
        If a result is corrupt.
    """
    table, folder = read_table(out / RESULTS_FILE), out / WEIGHTS_FOLDER
    commands = {step.name: show_command(step) for step in steps}
    labelled = [str(work / part) for part in train_parts(experiment, experiment.splits[0])]
    written = []
    networks = find_networks(experiment, steps, work, table)
    for network in networks:
        measured_by = [commands[step] for step in network.figures]
        figures = list(chain.from_iterable(network.figures.values()))
        trained_by = "\n".join(f"    {commands[step]}" for step in network.steps)
        notes = f"{describe_origin(network, table.machine)}\n\nTrained by\n\n{trained_by}"
        about = RANDOM if network.name == "random" else ""
        is_tuned = len(network.steps) > 1  # without the videos of other classes
        shards = [*labelled, *([] if is_tuned else [str(work / "labels" / OTHERS)])]
        facts = CardFacts("", figures, measured_by, LICENCE, notes, about)
        written += export_weights(network.source, folder / network.name, facts=facts, shards=shards)
    if not networks:
        return []
    page = folder / "README.md"
    try:
        write_text(page, describe_networks(networks, table.machine, experiment.splits[0].name))
    except OSError as error:
        raise ConfigError(f"cannot write {page} ({reason_of(error)}): give another --out") from error
    return [*(folder / network.name for network in networks), page]


def find_networks(
    experiment: Experiment, steps: Sequence[Step], work: Path, table: PublishedTable
) -> list[GivenNetwork]:
    """Find the networks of the first seed of the first split that are done, with their figures.

    Those of their rows come from `table`; for the rest see `write_small_weights`.
    """
    split = experiment.splits[0]
    done = done_steps(steps, work)
    untrained = _read_figures(work, network_name(split, "random", experiment.seeds[0]), done, {}, {})
    random = {figure.protocol: figure.values for figure in chain.from_iterable(untrained.values())}
    networks = []
    for row, folder in GIVEN_ROWS.items():
        if row not in experiment.rows:
            continue
        name, title = network_name(split, row, experiment.seeds[0]), ROWS[row].title
        values = {c.measure: c.values for c in table.cells if (c.split, c.row) == (split.name, row)}
        measured = _read_figures(work, name, done, values, {} if row == "random" else random)
        is_of_row = all(map(_is_first_of_row, chain.from_iterable(measured.values())))
        train = f"pretrain-{name}"
        if train in done:
            source = work / "runs" / name
            networks.append(GivenNetwork(folder, title, source, (train,), measured, is_of_row))
        tuned_row, tuning, tuned_folder = FINETUNED
        tuned = f"finetune-{tuning}-{name}"
        if row == tuned_row and tuned in done:
            source, own = work / "finetuned" / f"{tuning}-{name}", {tuned: measured[tuned]}
            tuned_title = f"{title}, {TUNINGS[tuning].title}"
            networks.append(GivenNetwork(tuned_folder, tuned_title, source, (train, tuned), own, is_of_row))
    return networks


Values = Mapping[str, tuple[float, ...]]
"""Title of a measure -> figures of some networks."""


def _read_figures(work: Path, name: str, done: set[str], rows: Values, random: Values) -> Figures:
    """Read the figures of a network that are done, next to those of its row and of a random network."""
    found: dict[str, list[CardFigure]] = {}
    for measure in MEASURES:
        step, title = f"{measure.step}{name}", measure.title
        if step in done:
            result = read_measure(work, measure, name)
            value = (result.figures[measure.figure],)
            tested = (result.dataset, result.split, measure.figure, result.videos)
            bounds = figure_bounds([result], measure.figure)
            figure = CardFigure(
                title, *tested, value, random.get(title, ()), row=rows.get(title, ()), bounds=bounds
            )
            found.setdefault(step, []).append(figure)
    return found


def _is_first_of_row(figure: CardFigure) -> bool:
    """Return whether a figure is the row's value of the first seed."""
    return bool(figure.row) and round(figure.row[0] - figure.values[0], DIGITS) == 0


def describe_origin(network: GivenNetwork, machine: str) -> str:
    """Return the sentence that says whether a network is one of its row, which `machine` trained."""
    counts = [len(figure.row) for figure in chain.from_iterable(network.figures.values()) if figure.row]
    if not counts:
        return ALONE
    template = FIRST_OF_ROW if network.is_of_row else TRAINED_AGAIN
    return template.format(count=counts[0], here=describe_machine(), there=machine)


ALONE: Final = "There is no table of other networks of this recipe."
FIRST_OF_ROW: Final = "The first of the {count} networks of its row in the tables."
TRAINED_AGAIN: Final = """\
**Trained again**: not one of the {count} networks of its row in the tables, but by the commands and with the
seed of the first of them, on another machine (here: {here}; there: {there}). Other weights came
out, with other figures."""
RANDOM: Final = """\
Its weights are random, those that training begins with; batch norm learnt its statistics. It is the
baseline of the others."""


def describe_networks(networks: Sequence[GivenNetwork], machine: str, split: str) -> str:
    """Return the page about all networks, of a split of some name, as Markdown."""
    figures = [chain.from_iterable(network.figures.values()) for network in networks]
    shown = [{figure.protocol: figure.show() for figure in found} for found in figures]
    measures = [m.title for m in MEASURES if any(m.title in found for found in shown)]
    rows = []
    for network, found in zip(networks, shown, strict=True):
        cells = [found.get(title, "") for title in measures]
        rows.append([f"[{network.name}]({network.name}/README.md)", network.title, *cells])
    origins = dict.fromkeys(describe_origin(network, machine) for network in networks)
    return PAGE.format(
        split=split, table=markdown_table(["folder", "row", *measures], rows), origin="\n\n".join(origins)
    )


PAGE: Final = """\
# Weights that come along

One network for each of some rows of the [small experiment](../README.md), to try the commands with: a quarter
of the paper's channels, a small input, a few classes. They are those of the first seed, trained on the
training videos of split {split}. The table has the figures of these very networks on its test videos, in
percent, with 95 % intervals over groups of test videos. One network says little about its row: the tables of
the experiment compare the rows.

{table}

{origin}

    mas-embed videos/ --weights results/small/weights/joint --out features.parquet
    mas-predict videos/ --weights results/small/weights/joint-finetuned

[Features and predictions](../../../docs/features.md) says more. The card in each folder has the recipe, the
figures next to those of the row, and what the network is not for.

Made by `make reproduce-small`; from a work folder that is done, by

    mas-reproduce small --root ... --weizmann ... --work ... --weights-only

The weights are a part of this project, under its licence. They were trained on videos of UCF101, which come
from YouTube and are no part of it; the terms of these are those of
[the data set](https://www.crcv.ucf.edu/data/UCF101.php) and of their owners.
"""


def read_table(path: Path) -> PublishedTable:
    """Read ``results.json`` of a page; nothing if there is no such file.

    Raises
    ------
    DatasetError
        If it is corrupt.
    UnavailableError
        If it cannot be read now.
    """
    names = ("split", "row", "measure", "expected", "videos")
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        cells = [Cell(values=tuple(c["values"]), **{n: c[n] for n in names}) for c in content["cells"]]
        return PublishedTable(content["machine"], tuple(cells))
    except FileNotFoundError:
        return PublishedTable("", ())
    except OSError as error:
        raise unavailable(path, error) from error
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path} is no table of mas-reproduce ({error!r}): write the page again"
        ) from error
