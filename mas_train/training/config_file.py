"""A run's config.yaml: the entries that it states, and those that a command takes from it.

Whatever decides a run is written down under the names of the command's options, so that the file gives the
same run again (``--config``): entries of the recipe under ``recipe``, other options under ``options``, and
each option that names shards under its own name, as a list. The entries of `FACTS` follow from the others.
Importing this loads neither torch nor HDF5.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import yaml

from mas_labels.errors import ConfigError, DatasetError, unavailable
from mas_labels.schema import RUN_CONFIG_FILE
from mas_labels.system.options import OptionField, option_fields
from mas_labels.system.yaml_text import YAML_ERRORS, UniqueKeyLoader
from mas_train.recipe import Recipe, with_present_names

if TYPE_CHECKING:
    from mas_labels.shards import ShardSet

PRETRAIN_COMMAND: Final = "mas-train"
FINETUNE_COMMAND: Final = "mas-finetune"
FACTS: Final = ("labels", "geometry", "held_out_clips", "initial_weights", "environments")
"""Entries about a run that follow from its options and shards: no option takes them."""
SECTIONS: Final = ("command", "recipe", "options")


def config_entries(
    command: str, recipe: Recipe, options: Mapping[str, Any], sets: Mapping[str, ShardSet], **facts: Any
) -> dict[str, Any]:
    """Return the entries of a run's file.

    Parameters
    ----------
    command
        The program that runs it.
    recipe
        The run's recipe.
    options
        Its other options by name.
    sets
        The shards of each option that names some, by the option's name.
    **facts
        Entries of `FACTS`.
    """
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    return {
        "command": command,
        "recipe": asdict(recipe),
        "options": plain,
        **{name: _describe_shards(shards) for name, shards in sets.items()},
        **facts,
    }


def _describe_shards(shards: ShardSet) -> list[dict[str, Any]]:
    """Return path, number of clips and content hash of each shard."""
    columns = zip(shards.paths, shards.lengths, shards.content_hashes, strict=True)
    return [{"path": str(path), "clips": n, "content_hash": text} for path, n, text in columns]


@dataclass(frozen=True)
class ConfigFile:
    """The part of a config.yaml that decides a run.

    Attributes
    ----------
    path
        The file.
    is_of_run
        Whether a run wrote it; otherwise it may state a few entries only.
    recipe, options
        Entries of the recipe, and the other options, by name.
    shards
        Paths by the name of the option that takes them.
    content_hashes
        Content hash of each path, where the file states them, by the name of the option.
    facts
        Entries of `FACTS`.
    """

    path: Path
    is_of_run: bool
    recipe: dict[str, Any]
    options: dict[str, Any]
    shards: dict[str, list[str]]
    content_hashes: dict[str, list[str]]
    facts: dict[str, Any]

    def values(self) -> dict[str, Any]:
        """Return all that it states, by the name of the option."""
        stated = {**self.recipe, **self.options, **self.shards}
        return {name: value for name, value in stated.items() if value is not None}

    @property
    def processes(self) -> int:
        """Number of processes in which the run began; 1 where the file does not say."""
        try:
            return int(self.facts["environments"][0]["processes"])
        except (LookupError, TypeError, ValueError):
            return 1

    def recipe_without(self, names: Collection[str]) -> dict[str, Any]:
        """Return the entries of the recipe but those of the given names, each of its field's type.

        Raises
        ------
        ConfigError
            If a value is of another type.
        """
        known = option_fields(Recipe)
        kept = {name: value for name, value in self.recipe.items() if name not in names}
        return {name: self._convert(known[name], value) for name, value in kept.items() if value is not None}

    def _convert(self, field: OptionField, value: str | list[str]) -> Any:
        try:
            if isinstance(value, list):
                return tuple(map(float, value))
            return _TextLoader.bool_values[value.lower()] if field.kind is bool else field.kind(value)
        except (LookupError, ValueError) as error:
            kind = "a list of numbers" if field.kind is tuple else f"of type {field.kind.__name__}"
            raise ConfigError(
                f"{self.path}: recipe.{field.name}: expected {kind}, found {value!r}: correct it"
            ) from error

    def require_same_shards(self, names: Iterable[str]) -> None:
        """Compare the shards of some options with those that the run read.

        Raises
        ------
        ConfigError
            If one is not there any more, or has another content hash.
        """
        from mas_train.data.training_shards import open_training_shards

        for name in names:
            remedy = f"or give --{name.replace('_', '-')} to take others"
            try:
                found = open_training_shards(self.shards[name], True)
            except DatasetError as error:
                raise ConfigError(
                    f"{self.path} names shards that are not there ({error}): its paths are as they were "
                    f"given, run where they are found, {remedy}"
                ) from error
            expected = self.content_hashes.get(name)
            if expected is not None and found.content_hashes != expected:
                pairs = zip(found.paths, found.content_hashes, expected, strict=False)
                changed = [str(path) for path, now, before in pairs if now != before]
                raise ConfigError(
                    f"{changed[0]} is not the shard that the run of {self.path} read, its content hash "
                    f"differs ({len(changed)} of {len(expected)} shards): restore it, {remedy}"
                )


def read_config_file(
    path: Path, command: str, options: Collection[str], shard_options: Collection[str]
) -> ConfigFile:
    """Read a config.yaml, of a run or written by hand.

    Parameters
    ----------
    path
        The file.
    command
        The program that is to take it.
    options, shard_options
        Names of its options that are not part of the recipe: all but those that name shards, and these.

    Raises
    ------
    ConfigError
        If it is not YAML, of another command, or holds unknown entries: all are named.
    UnavailableError
        If it cannot be read now.
    """
    content = _read_yaml(path)
    content["recipe"] = with_present_names(content.get("recipe") or {})
    is_of_run = "environments" in content
    written_by = content.get("command") or (PRETRAIN_COMMAND if is_of_run else command)
    if written_by != command:
        raise ConfigError(f"{path} is of {written_by}, this is {command}: run {written_by} --config {path}")
    _require_known(path, content, options, shard_options)
    _require_plain(path, content)
    entries = {name: _as_list(content[name]) for name in shard_options if content.get(name)}
    hashes = {
        name: [entry["content_hash"] for entry in rows if isinstance(entry, dict) and "content_hash" in entry]
        for name, rows in entries.items()
    }
    return ConfigFile(
        path,
        is_of_run,
        content["recipe"],
        dict(content.get("options") or {}),
        {name: [_path_of(path, name, entry) for entry in rows] for name, rows in entries.items()},
        {name: texts for name, texts in hashes.items() if len(texts) == len(entries[name])},
        {name: content[name] for name in FACTS if name in content},
    )


class _TextLoader(UniqueKeyLoader):
    """Reads values as texts, since options then take them as on the line."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":merge"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _read_yaml(path: Path) -> dict[str, Any]:
    from mas_labels.shards import printable

    try:
        content = _TextLoader.read(path.read_text(encoding="utf-8"))
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder: name the file in it, {path / RUN_CONFIG_FILE}") from error
    except OSError as error:
        raise unavailable(path, error) from error
    except YAML_ERRORS as error:
        reason = printable(" ".join(str(error).split()))
        raise ConfigError(f"{path} is not YAML ({reason}): name the config.yaml of a run") from error
    sections = [content.get(name) for name in ("recipe", "options")] if isinstance(content, dict) else [()]
    if not all(section is None or isinstance(section, dict) for section in sections):
        raise ConfigError(
            f"{path}: expected entries `recipe`, `options` and `shards`, the first two of `name: value`: "
            "name the config.yaml of a run"
        )
    return content


def _require_known(
    path: Path, content: Mapping[str, Any], options: Collection[str], shard_options: Collection[str]
) -> None:
    """Raise `ConfigError` that names all unknown entries, and known ones of similar names."""
    from mas_labels.shards import printable

    known = {name: f"recipe.{name}" for name in option_fields(Recipe)}
    known |= {name: f"options.{name}" for name in options}
    known |= {name: name for name in (*SECTIONS, *shard_options, *FACTS)}
    stated = {name: str(name) for name in content}
    found = [*stated.values()]
    found += [f"{part}.{name}" for part in ("recipe", "options") for name in content.get(part) or {}]
    unknown = []
    for entry in found:
        if entry in known.values():
            continue
        similar = difflib.get_close_matches(entry.rpartition(".")[2].replace("-", "_"), known, 1)
        unknown.append(f"{entry} (meant {known[similar[0]]}?)" if similar else entry)
    if unknown:
        names = printable(", ".join(unknown))
        raise ConfigError(f"{path}: unknown entries {names}: correct them, or leave them out")


def _require_plain(path: Path, content: Mapping[str, Any]) -> None:
    """Raise `ConfigError` unless each entry of the recipe and the options is one value, or a due list."""
    lists = {name for name, field in option_fields(Recipe).items() if field.kind is tuple}
    for section in ("recipe", "options"):
        for name, value in (content.get(section) or {}).items():
            texts = value if isinstance(value, list) and name in lists else [value]
            if value is not None and not (
                isinstance(value, list) is (name in lists) and all(isinstance(text, str) for text in texts)
            ):
                expected = "a list of numbers" if name in lists else "one value"
                found = "a list" if isinstance(value, list) else repr(value)
                found = "entries" if isinstance(value, dict) else found
                raise ConfigError(f"{path}: {section}.{name}: expected {expected}, found {found}: correct it")


def _as_list(entries: Any) -> list[Any]:
    return entries if isinstance(entries, list) else [entries]


def _path_of(path: Path, name: str, entry: Any) -> str:
    """Return the path in an entry of shards: a text, or the path of a mapping."""
    text = entry.get("path") if isinstance(entry, dict) else entry
    if not isinstance(text, str):
        raise ConfigError(f"{path}: {name}: expected paths of shards, found {text!r}: correct it")
    return text
