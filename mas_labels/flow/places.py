"""The places of the flow of many videos in an output folder, and the options that it was made with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mas_labels.datasets.folder import video_stem
from mas_labels.errors import ConfigError, OptionsDifferError, storage_error
from mas_labels.flow.formats import FORMATS
from mas_labels.flow.options import FlowOptions
from mas_labels.names import printable
from mas_labels.system.files import write_once
from mas_labels.version import resumable, versions
from mas_labels.video.frame_names import FLOW_RECORD


@dataclass(frozen=True)
class FlowTarget:
    """Final places of the flow of one video.

    Attributes
    ----------
    places
        Files or folders, in the order in which they are renamed.
    u, v, frames
        Those of u, of v and of the frames, which may be the same; `frames` is used only with --frames.
    """

    places: tuple[Path, ...]
    u: Path
    v: Path
    frames: Path

    def is_complete(self) -> bool:
        """Return whether the flow of the video was published."""
        return all(place.exists() for place in self.places)


def flow_target(out: Path, video: str, options: FlowOptions) -> FlowTarget:
    """Return the places for the flow of a video.

    Parameters
    ----------
    out
        The output folder.
    video
        Path of the video from its root on, without its extension.
    options
        All options.
    """
    layout = options.layout
    name = video if layout.has_classes else PurePosixPath(video).name
    flow = [out / place.format(video=name) for place in layout.flow]
    side = f"_{options.short_side}" if options.short_side else ""
    frames = out / layout.frames.format(video=name, side=side)
    places = dict.fromkeys([frames, *flow] if options.frames else flow)
    return FlowTarget(tuple(places), flow[0], flow[-1], frames)


def single_target(out: Path, options: FlowOptions) -> FlowTarget:
    """Return the places for the flow of one video that is itself `out`: a file of arrays, or a folder.

    Raises
    ------
    ConfigError
        If the extension of `out` is not that of the format, or the format has several folders.
    """
    suffix = f".{options.format}" if options.layout.is_array else ""
    if len(options.layout.flow) > 1 or out.suffix != suffix:
        endings = " or ".join(f".{name}" for name, layout in FORMATS.items() if layout.is_array)
        expected = f"a name ending in {suffix}" if suffix else "a folder, which has no extension,"
        raise ConfigError(
            f"{out}: expected {expected} for the format {options.format}: choose another name, or leave out "
            f"--format for a name ending in {endings}"
        )
    return flow_target(out.parent, out.stem, options)


def flow_targets(out: Path, videos: Iterable[str], options: FlowOptions) -> dict[str, FlowTarget]:
    """Return the places for the flow of many videos, by the paths of the videos from their root on.

    Raises
    ------
    ConfigError
        If two videos would be written to one place, or one into a folder of another.
    """
    targets = {video: flow_target(out, video_stem(video), options) for video in videos}
    _check_owners(targets, options)
    return targets


def _check_owners(
    targets: Mapping[str, FlowTarget], options: FlowOptions, fold: Callable[[str], str] = str
) -> None:
    """Raise `ConfigError` if two videos have one place, or one has a place in a folder of another's.

    `fold` maps places that are the same to one text.
    """
    owners: dict[str, str] = {}
    for video, target in targets.items():
        for place in target.places:
            owner = owners.setdefault(fold(str(place)), video)
            if owner != video:
                raise _collision(owner, video, place, options)
    for video, target in targets.items():
        for parent in {parent for place in target.places for parent in place.parents}:
            if fold(str(parent)) in owners:
                raise _collision(owners[fold(str(parent))], video, parent, options)


def _collision(one: str, other: str, place: Path, options: FlowOptions) -> ConfigError:
    remedy = "" if options.layout.has_classes else ", or choose a --format with class folders"
    return ConfigError(
        f"{printable(one)} and {printable(other)}: the flow of both would be in {printable(str(place))}: "
        f"rename one, or leave it out by a list of videos{remedy}"
    )


def claim_folder(out: Path, targets: Mapping[str, FlowTarget], options: FlowOptions) -> None:
    """Record options and versions in the output folder, unless they are recorded there.

    Raises
    ------
    ConfigError, OptionsDifferError
        As `check_folder` does.
    StorageError
        If they cannot be recorded.
    """
    if not check_folder(out, targets, options):
        _write_record(out / FLOW_RECORD, {**options.as_dict(), **versions()})
        check_folder(out, targets, options)  # another rank may have been faster


def check_folder(out: Path, targets: Mapping[str, FlowTarget], options: FlowOptions) -> bool:
    """Check that the flow in the output folder was made with the same options and versions.

    Returns
    -------
    bool
        Whether they are recorded there.

    Raises
    ------
    OptionsDifferError
        If it was made with others.
    ConfigError
        If files are where the flow belongs that no run of this program has recorded, or if two videos would
        be written to one place because the file system ignores case.
    """
    record = out / FLOW_RECORD
    asked: dict[str, object] = {**options.as_dict(), **versions()}
    found = read_record(out)
    if found is None:
        places = (place for target in targets.values() for place in target.places)
        foreign = next((place for place in places if place.exists()), None)
        found = read_record(out)  # another rank may have begun meanwhile
        if foreign is not None and found is None:
            raise ConfigError(
                f"{foreign} exists already, but not {record}, which says how it was made: remove it, or "
                "choose another --out"
            )
        return found is not None and check_folder(out, targets, options)
    found = resumable(found)
    if found != asked:
        names = [name for name in {**asked, **found} if asked.get(name) != found.get(name)]
        differences = "; ".join(f"{name} {found.get(name)!r}, not {asked.get(name)!r}" for name in names)
        raise OptionsDifferError(
            f"{out} holds flow made with other options ({differences}): give those, or choose another --out"
        )
    if record.with_name(FLOW_RECORD.upper()).exists():  # this file system ignores case
        _check_owners(targets, options, str.lower)
    return True


def _write_record(record: Path, content: Mapping[str, object]) -> None:
    """Write the record, unless another rank is faster."""
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        write_once(record, f"{json.dumps(content, indent=1)}\n".encode())
    except OSError as error:
        raise storage_error(record, error, "video") from error


def read_record(out: Path) -> dict[str, Any] | None:
    """Return the options that a folder's flow was made with; None if there is no record of them.

    Raises
    ------
    ConfigError
        If the record is damaged.
    """
    record = out / FLOW_RECORD
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"{record}: expected the options of a run as JSON: choose another folder")
    return found
