"""Weights that the small experiment gives away: the first network of each row, a folder with a card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from mas_labels.errors import DatasetError, unavailable
from mas_train.reproduce.measure import MEASURES, Cell, read_measure
from mas_train.reproduce.page import describe_machine, format_cell
from mas_train.reproduce.plan import Step
from mas_train.reproduce.run import done_steps
from mas_train.reproduce.small import CONDITIONS, Experiment, network_name

WEIGHTS_FOLDER: Final = "weights"
RESULTS_FILE: Final = "results.json"
FINETUNED_CONDITION: Final = "joint"
"""The row whose fine-tuned network comes along as well."""
DIGITS: Final = 9
"""Decimal places to which two figures are equal."""


@dataclass(frozen=True)
class NetworkFigure:
    """One figure of a network, next to those of its row in the tables.

    Attributes
    ----------
    measure, step
        Title of the column, and the step that makes it without the network's name.
    value
        Accuracy of this network, 0 to 1.
    row
        The row's cell in the tables; None if they have none.
    """

    measure: str
    step: str
    value: float
    row: Cell | None

    @property
    def is_of_the_row(self) -> bool:
        """True if it is the row's value of the first seed."""
        values = () if self.row is None else self.row.values
        return bool(values) and round(values[0] - self.value, DIGITS) == 0


class GivenNetwork(NamedTuple):
    """A network that is given away."""

    name: str
    """Name of its folder."""
    title: str
    """Its row in the tables."""
    source: Path
    """The run."""
    figures: tuple[NetworkFigure, ...]
    """Those that are measured."""
    is_of_row: bool
    """True if the row counts all figures of its training; then it is the row's first network."""


class PublishedTable(NamedTuple):
    """The tables of a page."""

    machine: str
    """Processor and cores of the machine that wrote them."""
    cells: tuple[Cell, ...]


def find_networks(
    experiment: Experiment, steps: Sequence[Step], work: Path, table: PublishedTable
) -> list[GivenNetwork]:
    """Find the networks of the first seed of the first split that are done, with their figures.

    Parameters
    ----------
    experiment, steps
        The experiment and its plan.
    work
        The work folder, with the networks and their results.
    table
        The tables, with the means and spreads of the rows.

    Raises
    ------
    ConfigError
        If `work` holds the results of another plan.
    DatasetError
        If a result is corrupt.
    """
    split, seed = experiment.splits[0], experiment.seeds[0]
    done, share = done_steps(steps, work), next(iter(experiment.shares))
    networks = []
    for condition in split.finetuned:
        name, title = network_name(split, condition, seed), CONDITIONS[condition].title
        rows = {c.measure: c for c in table.cells if (c.split, c.condition) == (split.name, condition)}
        figures = tuple(_read_figures(work, done, name, rows))
        is_of_row = all(figure.is_of_the_row for figure in figures)
        if f"pretrain-{name}" in done:
            networks.append(GivenNetwork(condition, title, work / "runs" / name, figures, is_of_row))
        step = f"finetune-{share}-"
        if condition == FINETUNED_CONDITION and f"{step}{name}" in done:
            own = tuple(figure for figure in figures if figure.step == step)
            source = work / "finetuned" / f"{share}-{name}"
            title = f"{title}, fine-tuned"
            networks.append(GivenNetwork(f"{condition}-finetuned", title, source, own, is_of_row))
    return networks


def _read_figures(work: Path, done: set[str], name: str, rows: Mapping[str, Cell]) -> Iterator[NetworkFigure]:
    """Yield the figures of a network that are done."""
    for measure in MEASURES:
        if f"{measure.step}{name}" in done:
            value = read_measure(work, measure, name).figures[measure.figure]
            yield NetworkFigure(measure.title, measure.step, value, rows.get(measure.title))


def describe_figures(network: GivenNetwork, machine: str) -> str:
    """Return the figures of a network as Markdown, next to the mean and spread of its row.

    Parameters
    ----------
    network
        The network.
    machine
        The machine of the row's networks.
    """
    lines = ["| accuracy in percent | this network | its row |", "|---|---|---|"]
    for figure in network.figures:
        row = "" if figure.row is None else format_cell(figure.row)
        lines.append(f"| {figure.measure} | {100 * figure.value:.1f} | {row} |")
    counts = [figure.row.expected for figure in network.figures if figure.row is not None]
    if counts:
        template = OF_THE_ROW if network.is_of_row else TRAINED_AGAIN
        lines += ["", template.format(count=counts[0], here=describe_machine(), there=machine)]
    return "\n".join(lines)


OF_THE_ROW: Final = "*Its row*: mean ± standard deviation over {count} networks, of which this is the first."
TRAINED_AGAIN: Final = """\
*Its row*: mean ± standard deviation over {count} other networks. **This network is none of them**: it was
trained again, by the commands and with the seed of the first of them, on another machine ({here};
theirs: {there}), and other weights came out, with other figures."""


def read_table(path: Path) -> PublishedTable:
    """Read ``results.json`` of a page; nothing if there is no such file.

    Raises
    ------
    DatasetError
        If it is corrupt.
    UnavailableError
        If it cannot be read now.
    """
    names = ("split", "condition", "measure", "expected", "videos")
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
