"""The command line of `mas-export`: it parses options and calls the library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mas_labels.errors import DatasetError
from mas_labels.system.command_line import FOLDER, PATH, SETTINGS, PathsCommand, run_command, version_option
from mas_train.cli.options import command_line, pixel_mean_option, shards_option

if TYPE_CHECKING:
    from mas_train.evaluation.results import Result
    from mas_train.weights.backbone_weights import Weights
    from mas_train.weights.model_card import CardFigure

TASKS: Final = {"retrieval": "feature-extraction", "aslan": "feature-extraction"}
"""The Hub's names of the tasks of protocols that do not classify."""
TITLES: Final = {
    "probe": "linear probe of frozen features",
    "groups": "linear probe of frozen features, leave-one-group-out",
    "retrieval": "nearest-neighbour retrieval",
    "aslan": "action similarity",
    "yupenn": "dynamic scenes, leave-one-video-out",
}
"""Words for the other protocols."""


if TYPE_CHECKING:
    StringChoice = click.Choice[str]
else:
    StringChoice = click.Choice  # click 8.1's takes no type


class ExportFormat(StringChoice):
    """A format to write; says what has taken TorchScript's place."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the format."""
        if value == "torchscript":
            self.fail("TorchScript is deprecated in torch: take pt2, for torch.export.load", param, ctx)
        return super().convert(value, param, ctx)


@click.command(cls=PathsCommand, context_settings=SETTINGS)
@click.argument("source", type=click.Path(exists=True))
@click.option("--out", type=FOLDER, default=Path("weights"), help="Weights folder to write.")
@click.option(
    "--format",
    "formats",
    type=ExportFormat(["safetensors", "onnx", "pt2"]),
    multiple=True,
    default=("safetensors",),
    help="Format to write; may be repeated. safetensors, the weights themselves, are always written.",
)
@click.option(
    "--results",
    type=PATH,
    multiple=True,
    metavar="FOLDER...",
    help="Folders of results of mas-eval and mas-finetune, for the model card.",
)
@shards_option(
    "--shards",
    "The training shards, for the model card; without them those of the run, if they are still there.",
    required=False,
)
@click.option("--license", "licence", default="unknown", help="Licence of the weights, for the model card.")
@pixel_mean_option
@click.option(
    "--push",
    metavar="REPO",
    help="Then upload the folder to this repository of the Hugging Face Hub, such as me/model; a new one is "
    "private.",
)
@version_option
def command(
    source: str,
    out: Path,
    formats: tuple[str, ...],
    results: tuple[Path, ...],
    shards: tuple[str, ...],
    licence: str,
    pixel_mean: tuple[float, float, float] | None,
    push: str | None,
) -> int:
    """Export the network of SOURCE to a folder that other programs read: weights, configuration, model card.

    SOURCE is a run's folder (its best checkpoint, or else its last), a checkpoint, a weights folder, or the
    weights of a public C3D (mas_train/weights/public_layouts.py lists the names). Of a fine-tuned run the
    classifier is written, too. Each file is read back and compared.
    """
    from mas_train.weights.backbone_weights import describe_unfinished, load_weights
    from mas_train.weights.export import export_weights
    from mas_train.weights.model_card import CardFacts

    account = None
    if push is not None:
        from mas_train.weights.push import HubAccount

        account = HubAccount.sign_in()  # refuses before any work
    weights = load_weights(source)
    for note in describe_unfinished(weights):
        click.echo(note, err=True)
    figures, commands = read_figures(results, weights) if results else ([], [])
    facts = CardFacts(command_line("mas-export"), figures, commands, licence)
    programs = [name for name in formats if name != "safetensors"]
    for path in export_weights(source, out, programs, facts, shards, pixel_mean):
        click.echo(path)
    if account is not None and push is not None:
        click.echo(account.upload(out, push))
    return 0


def read_figures(folders: tuple[Path, ...], weights: Weights) -> tuple[list[CardFigure], list[str]]:
    """Read results as figures of a card, and the commands that measured them.

    Results of the same measurement, of networks of several seeds, are joined.

    Raises
    ------
    DatasetError
        If there are none, one is of another network, width, set of labels or coding than `weights`, two are
        of different recipes, or say different things of one network.
    """
    from mas_train.evaluation.results import figure_bounds, read_results
    from mas_train.weights.model_card import CLASSIFICATION, CardFigure

    groups: dict[tuple[str, ...], list[Result]] = {}
    found = read_results(folders)
    for result in found:
        recipe, pretraining = weights.recipe, weights.pretraining
        network = recipe["backbone"], float(recipe["width"])
        expected = (*network, pretraining.get("targets") or None, pretraining.get("coding") or "number")
        stated = (result.weights.get(name) for name in ("backbone", "width", "targets"))
        described = (*stated, result.weights.get("coding") or "number")
        if described != expected:
            raise DatasetError(
                f"--results: expected results of {expected}, found {described} of {result.weights['source']} "
                f"({result.protocol}): name the folders of this network's results"
            )
        for name in result.figures:
            key = (_title(result), result.protocol, result.dataset, result.split, name)
            _add_network(groups.setdefault(key, []), result, name)
    figures = []
    for (title, protocol, dataset, split, name), results in groups.items():
        random = [result.random_initialisation for result in results]
        figures.append(
            CardFigure(
                title,
                dataset,
                split,
                name,
                results[0].videos,
                tuple(result.figures[name] for result in results),
                tuple(values[name] for values in random if name in values),
                TASKS.get(protocol, CLASSIFICATION),
                bounds=figure_bounds(results, name),
            )
        )
    return figures, list(dict.fromkeys(result.command for result in found))


def _add_network(results: list[Result], result: Result, name: str) -> None:
    """Add a network's result to those of others; one that repeats a figure of a network is left out."""
    from mas_train.evaluation.tables import are_of_one_row

    seed = result.weights.get("seed")
    if results and not are_of_one_row([results[0], result]):
        raise DatasetError(
            f"--results: expected networks of one recipe, measured alike, for {_title(result)}, found those "
            f"of {results[0].command!r} and {result.command!r}: name the folders of one recipe"
        )
    for other in results:
        if seed is None or other.weights.get("seed") != seed:
            continue
        if other.figures[name] != result.figures[name]:
            raise DatasetError(
                f"--results: expected one result of a network for {_title(result)}, {name}, found those of "
                f"{other.command!r} and {result.command!r}, both of seed {seed}: name the folder of one"
            )
        return
    results.append(result)


def _title(result: Result) -> str:
    """Return words for a measurement."""
    if result.protocol != "accuracy":
        return TITLES.get(result.protocol, result.protocol)
    share = result.weights.get("label_fraction", 1.0)
    trained = "a linear classifier" if result.weights.get("frozen") else "fine-tuning"
    return f"accuracy after {trained} with {100 * share:g}% of the labels"


def main(args: list[str] | None = None) -> None:
    """Run `mas-export` and exit with its status."""
    run_command(command, "mas-export", args, "the same command starts over")


if __name__ == "__main__":
    main()
