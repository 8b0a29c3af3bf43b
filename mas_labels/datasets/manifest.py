r"""A manifest: how a data set is stored on disk, read from a small YAML file.

::

    name: ucf101
    description: one line
    path: (?P<class>[^/]+)/v_[^/]+_g(?P<group>\d+)_c\d+        # relative path without extension
    extensions: [.avi]                                       # in any case; default: all video files
    list_folders: [".", ucfTrainTestlist]                    # where list files are searched for
    class_list: classInd.txt                                 # order of classes; else alphabetical
    splits:                                                  # the first rule that applies is used
      - {by: lists, files: {train1: trainlist01.txt, test1: testlist01.txt}}
      - {by: groups, groups: {train1: 8-25, test1: 1-7}}
      - {by: path}
      - {by: marked_lists, files: "{class}_test_split{number}.txt", marks: {train: 1, test: 2}}
      - {by: csv, files: {train: "*train*.csv"}, name: "{youtube_id}_{time_start:06d}", class: label}
    expected: {videos: 13320, classes: 101}                  # of the whole data set; else a note
    videos_per_shard: 16                                     # at most; else by their number
    store_boundaries: true

`path` is a regular expression for the whole relative path, with `/` between folders. Its named groups
`class`, `group` and `split` give a video's class, group and split; each of them is optional. A literal brace
is written ``\{``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mas_labels.datasets.path_match import check_pattern
from mas_labels.datasets.split_rules import (
    GroupsRule,
    Keys,
    PathRule,
    SplitRule,
    check_file_name,
    check_path_inside,
    parse_split_rule,
)
from mas_labels.errors import ConfigError, reason_of
from mas_labels.names import VIDEO_EXTENSIONS
from mas_labels.system.yaml_text import YAML_ERRORS, UniqueKeyLoader

MANIFESTS: Final = Path(__file__).parents[1] / "data_manifests"
"""Folder of the manifests that are installed with the package; in a checkout a link to those at its top."""


@dataclass(frozen=True)
class Manifest:
    """The layout of one data set on disk.

    Attributes
    ----------
    name, description
        The name, which becomes part of the names of shards, and a one-line description.
    path
        Regular expression for a video's whole relative path without its extension.
    extensions
        Extensions of video files, lower case with their dot; files are compared ignoring case. Where list
        files name videos, of two files of one video the one with the first of these extensions is used.
    splits
        Rules for splits; the first that applies is used. Without rules only "all" exists.
    list_folders
        Folders to search for list files, relative to the data set and to the folder of lists.
    class_list
        Name of the file with the order of the classes, if the data set has one.
    videos_per_shard
        Maximum number of videos of a shard; None: `mas_labels.plan.plan.shard_counts` chooses.
    store_boundaries
        Whether shards store Mu and Mv as well as the labels.
    expected_videos, expected_classes
        Numbers of the whole data set, if known.
    """

    name: str
    description: str
    path: str
    extensions: tuple[str, ...]
    splits: tuple[SplitRule, ...] = ()
    list_folders: tuple[str, ...] = (".",)
    class_list: str | None = None
    videos_per_shard: int | None = None
    store_boundaries: bool = True
    expected_videos: int | None = None
    expected_classes: int | None = None


def packaged_manifests() -> dict[str, Path]:
    """Return the paths of the manifests that are installed with the package, by name."""
    return {path.stem: path for path in sorted(MANIFESTS.glob("*.yaml"))}


def load_manifest(path: str | Path) -> Manifest:
    """Read a manifest from a file or, if there is no such file, the packaged manifest of that name.

    Raises
    ------
    ConfigError
        There is neither, the file is not YAML, or a key is unknown, missing or of the wrong type.
    """
    path, packaged = Path(path), packaged_manifests()
    try:
        if not path.is_file():
            path = packaged.get(str(path), path)
        data = UniqueKeyLoader.read(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        siblings = ", ".join(sorted(p.name for p in path.parent.glob("*.yaml"))) or "none"
        raise ConfigError(
            f"cannot read the manifest {path}: {reason_of(error)}. YAML files in its folder: {siblings}. "
            f"Known by name: {', '.join(packaged)}"
        ) from error
    except YAML_ERRORS as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"the manifest {path} is not YAML: {reason}") from error
    return parse_manifest(data, str(path))


def parse_manifest(data: object, where: str = "manifest") -> Manifest:
    """Make a `Manifest` from the content of a YAML file; `where` names the file in errors.

    Raises
    ------
    ConfigError
        A key is unknown, missing or of the wrong type.
    """
    keys = Keys(data, where)
    expected = Keys(keys.get("expected", dict, {}), f"{where}: expected")
    manifest = Manifest(
        name=check_file_name(keys.text("name"), where),
        description=keys.text("description"),
        path=_pattern(keys.text("path"), where),
        extensions=tuple(_extension(text, where) for text in keys.texts("extensions", VIDEO_EXTENSIONS)),
        splits=tuple(parse_split_rule(rule, f"{where}: splits") for rule in keys.get("splits", list, [])),
        list_folders=tuple(
            check_path_inside(text, where, up=1) for text in keys.texts("list_folders", ["."])
        ),
        class_list=check_path_inside(name, where) if (name := keys.get("class_list", str, None)) else None,
        videos_per_shard=keys.get("videos_per_shard", int, None),
        store_boundaries=keys.get("store_boundaries", bool, True),
        expected_videos=expected.get("videos", int, None),
        expected_classes=expected.get("classes", int, None),
    )
    keys.finish()
    expected.finish()
    if manifest.videos_per_shard is not None and manifest.videos_per_shard < 1:
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
