r"""A recipe: how a data set lies on disk, as plain data read from a small YAML file.

::

    name: ucf101
    description: one line for people
    path: (?P<class>[^/]+)/v_[^/]+_g(?P<group>\d+)_c\d+        # the relative path without its extension
    extensions: [.avi]                                       # any case; without this key all of videos
    list_folders: [".", ucfTrainTestlist]                    # where list files are looked for
    class_list: classInd.txt                                 # order of the classes; else alphabetical
    splits:                                                  # the first rule that applies is taken
      - {by: lists, files: {train1: trainlist01.txt, test1: testlist01.txt}}
      - {by: groups, groups: {train1: 8-25, test1: 1-7}}
      - {by: path}
      - {by: marked_lists, files: "{class}_test_split{number}.txt", marks: {train: 1, test: 2}}
      - {by: csv, files: {train: "*train*.csv"}, name: "{youtube_id}_{time_start:06d}", class: label}
    expected: {videos: 13320, classes: 101}                  # of the whole data set; what differs is told
    videos_per_shard: 16
    store_boundaries: true

`path` is a regular expression for the whole relative path, with `/` between folders. Its named groups
`class`, `group` and `split` say what a video belongs to; each of them may be absent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from mas_labels.datasets.folder import VIDEO_EXTENSIONS
from mas_labels.datasets.path_match import check_pattern
from mas_labels.datasets.split_rules import (
    GroupsRule,
    Keys,
    PathRule,
    SplitRule,
    file_name,
    parse_split_rule,
    path_inside,
)
from mas_labels.errors import ConfigError, reason_of

MANIFESTS: Final = Path(__file__).parents[1] / "data_manifests"
"""Folder of the manifests that are installed with the package; in a checkout a link to those at its top."""
NOT_YAML: Final = (
    *(yaml.YAMLError, RecursionError),
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),  # PyYAML's, on tags like !!int
)


@dataclass(frozen=True)
class Manifest:
    """How one data set lies on disk.

    Attributes
    ----------
    name, description
        For people, and to name shards by.
    path
        Regular expression for a video's whole relative path without its extension.
    extensions
        Endings of video files, lower case with their dot; files are compared ignoring case. Of two files of
        one video the first of these is taken, where list files know videos by their names.
    splits
        Rules for splits, the first that applies is taken; none: only "all" exists.
    list_folders
        Folders in which list files are looked for, relative to the data set and to the folder of lists.
    class_list
        Name of the file with the order of the classes, if the data set has one.
    videos_per_shard
        Videos that share one shard.
    store_boundaries
        Whether Mu and Mv are stored beside the labels.
    expected_videos, expected_classes
        Of the whole data set, if that is known.
    """

    name: str
    description: str
    path: str
    extensions: tuple[str, ...]
    splits: tuple[SplitRule, ...] = ()
    list_folders: tuple[str, ...] = (".",)
    class_list: str | None = None
    videos_per_shard: int = 16
    store_boundaries: bool = True
    expected_videos: int | None = None
    expected_classes: int | None = None


def packaged_manifests() -> dict[str, Path]:
    """The manifests that are installed with the package, by name."""
    return {path.stem: path for path in sorted(MANIFESTS.glob("*.yaml"))}


def load_manifest(path: str | Path) -> Manifest:
    """Read a manifest: a file, or, where there is no such file, the packaged one of that name.

    Raises
    ------
    ConfigError
        There is neither, the file is not YAML, or a key is unknown, absent or of the wrong kind.
    """
    path, packaged = Path(path), packaged_manifests()
    try:
        if not path.is_file():
            path = packaged.get(str(path), path)
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        there = ", ".join(sorted(p.name for p in path.parent.glob("*.yaml"))) or "none"
        raise ConfigError(
            f"cannot read the manifest {path}: {reason_of(error)}. YAML files in its folder: {there}. "
            f"Known by name: {', '.join(packaged)}"
        ) from error
    except NOT_YAML as error:
        raise ConfigError(f"the manifest {path} is not YAML: {error}") from error
    return parse_manifest(data, str(path))


def parse_manifest(data: object, where: str = "manifest") -> Manifest:
    """Make a `Manifest` of what a YAML file held; `where` names it in errors.

    Raises
    ------
    ConfigError
        A key is unknown, absent or of the wrong kind.
    """
    keys = Keys(data, where)
    expected = Keys(keys.get("expected", dict, {}), f"{where}: expected")
    manifest = Manifest(
        name=file_name(keys.text("name"), where),
        description=keys.text("description"),
        path=_pattern(keys.text("path"), where),
        extensions=tuple(_extension(text, where) for text in keys.texts("extensions", VIDEO_EXTENSIONS)),
        splits=tuple(parse_split_rule(rule, f"{where}: splits") for rule in keys.get("splits", list, [])),
        list_folders=tuple(path_inside(text, where, up=1) for text in keys.texts("list_folders", ["."])),
        class_list=path_inside(name, where) if (name := keys.get("class_list", str, None)) else None,
        videos_per_shard=keys.get("videos_per_shard", int, 16),
        store_boundaries=keys.get("store_boundaries", bool, True),
        expected_videos=expected.get("videos", int, None),
        expected_classes=expected.get("classes", int, None),
    )
    keys.finish()
    expected.finish()
    if manifest.videos_per_shard < 1:
        raise ConfigError(f"{where}: videos_per_shard must be 1 or more, found {manifest.videos_per_shard}")
    names = check_pattern(manifest.path)
    for kind, group in ((GroupsRule, "group"), (PathRule, "split")):
        if group not in names and any(isinstance(rule, kind) for rule in manifest.splits):
            raise ConfigError(f"{where}: a split rule needs the named group (?P<{group}>...) in `path`")
    return manifest


def _pattern(text: str, where: str) -> str:
    try:
        names = set(check_pattern(text))
    except ValueError as error:
        raise ConfigError(f"{where}: `path` is not a regular expression: {error}") from error
    if names - {"class", "group", "split"}:
        raise ConfigError(
            f"{where}: named groups of `path` may be class, group and split, found {sorted(names)}"
        )
    return text


def _extension(text: str, where: str) -> str:
    if not re.fullmatch(r"\.[^./]+", text):
        raise ConfigError(f"{where}: an extension is a dot and letters, such as .avi; found {text!r}")
    return text.lower()
