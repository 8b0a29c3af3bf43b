"""A set of shards as one long sequence of clips: what trainers and notebooks read."""

from __future__ import annotations

import glob
import html
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import DatasetError, ShardError
from mas_labels.schema import LABEL_NAMES
from mas_labels.shard_reader import Shard

OPEN_FILES = 800
"""Most shards a process keeps open: below the usual limit of 1024 files, and more than UCF101 makes. An open
shard takes 0.4 MB; opening one anew, with all checks, takes longer than decoding a clip."""


class Video(NamedTuple):
    """One video of a shard: its row of ``videos/*``."""

    path: str
    class_name: str | None
    class_index: int
    splits: tuple[str, ...]
    group: str | None
    frames: int
    fps: float
    clips: int


class Failure(NamedTuple):
    """A video that could not be used, and why."""

    video: str
    stage: str
    code: str
    message: str


@dataclass(frozen=True)
class Clip:
    """One clip, read from its shard when it is asked for.

    Attributes
    ----------
    shards
        The set it belongs to.
    index
        Its place there.
    """

    shards: ShardSet
    index: int

    @property
    def frames(self) -> NDArray[np.uint8]:
        """(16, 128, 171, 3) uint8 RGB."""
        return self.shards.read_frames(self.index)

    @property
    def views(self) -> NDArray[np.int16]:
        """(V, 3) int16: top, left, mirrored. Row 0 is the centre view."""
        return self.shards.views

    @property
    def view_labels(self) -> NDArray[np.uint8]:
        """(V, 27) uint8: the labels of each view."""
        return self.shards.read_labels(self.index)

    @property
    def labels(self) -> dict[str, int]:
        """The 27 labels of the centre view by name; empty for a shard without labels."""
        if not self.shards.has_labels:
            return {}
        return dict(zip(LABEL_NAMES, self.view_labels[0].tolist(), strict=True))

    @property
    def motion_boundaries(self) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Mu and Mv, each (128, 171, 2) float32 (stored as float16); None if they are not stored."""
        shard, clip = self.shards.locate(self.index)
        if "clips/mu" not in shard:
            return None
        return shard.read("clips/mu", clip).astype(np.float32), shard.read("clips/mv", clip).astype(
            np.float32
        )

    @property
    def flow(self) -> NDArray[np.float32] | None:
        """(15, 128, 171, 2) float32, (u, v) in pixels per frame; None if it is not stored."""
        shard, clip = self.shards.locate(self.index)
        return shard.read("clips/flow", clip).astype(np.float32) if "clips/flow" in shard else None

    @property
    def motion(self) -> NDArray[np.float32]:
        """(15, 2) float32: mean magnitude of each field's own motion boundary, of u and of v, in pixels.

        Raises `ShardError` for a shard of frames only.
        """
        shard, clip = self.shards.locate(self.index)
        return shard.read("clips/motion", clip)

    @property
    def start_frame(self) -> int:
        """Number of the clip's first frame in its video, from 0."""
        shard, clip = self.shards.locate(self.index)
        return int(shard.read("clips/start_frame", clip))

    @property
    def source(self) -> Video:
        """The video it was cut from."""
        shard, clip = self.shards.locate(self.index)
        return _video(shard, int(shard.read("clips/video", clip)))

    @property
    def video(self) -> str:
        """Path of its video, relative to the data set's root."""
        return self.source.path

    @property
    def class_name(self) -> str | None:
        """Class of its video, None without one."""
        return self.source.class_name

    def __repr__(self) -> str:
        return f"Clip {self.index}: {self.video!r} from frame {self.start_frame}, class {self.class_name}"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in self.labels.items())
        return f"<p>{html.escape(repr(self))}</p><table>{rows}</table>"


class ShardSet(Sequence[Clip]):
    """Shards read as one sequence of clips.

    Files are opened when they are needed, a few at a time, anew in each process; what travels to another
    process is the list of paths.

    Attributes
    ----------
    paths
        The shards, in order.
    lengths
        Clips in each.
    content_hashes
        Content hash of each, as stored (`Shard.verify` compares it with the content).
    views
        (V, 3) int16, the table of views all shards share.
    config
        The options all shards were made with.
    classes
        Names of the data set's classes, by index.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.lengths: list[int] = []
        self.content_hashes: list[str] = []
        self._open: OrderedDict[int, Shard] = OrderedDict()
        self._process = os.getpid()
        for number, path in enumerate(self.paths):
            with Shard(path) as shard:
                if number == 0:
                    self.config, self.views = shard.config, shard.views
                    self.classes = shard.read_texts("classes")
                self._check_same(shard)
                self.lengths.append(len(shard))
                self.content_hashes.append(shard.content_hash)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)

    def _check_same(self, shard: Shard) -> None:
        """Refuse a shard that was made with other options than the first."""
        differing = [name for name, value in self.config.items() if shard.config.get(name) != value]
        differing += [name for name in shard.config if name not in self.config]
        if not np.array_equal(self.views, shard.views):
            differing.append("views")
        if shard.read_texts("classes") != self.classes:
            differing.append("classes")
        if differing:
            first = self.paths[0]
            raise ShardError(
                f"{shard.path} and {first} were made with different options ({', '.join(differing)}): "
                "read them apart, or label one of the folders again"
            )

    @property
    def has_labels(self) -> bool:
        """Whether the shards hold labels (shards of test data may not)."""
        return len(self.views) > 0

    def shard(self, number: int) -> Shard:
        """Return shard `number`, opened; it stays open until others push it out."""
        if self._process != os.getpid():  # after a fork: handles of the parent are not ours to use
            self._open, self._process = OrderedDict(), os.getpid()
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        while len(self._open) >= OPEN_FILES:
            self._open.popitem(last=False)[1].close()
        shard = Shard(self.paths[number])
        if shard.content_hash != self.content_hashes[number]:
            raise ShardError(f"{shard.path}: was replaced by another shard while it was in use: start again")
        self._open[number] = shard
        return shard

    def locate(self, index: int) -> tuple[Shard, int]:
        """Return the shard that holds clip `index`, and the clip's number there."""
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self.shard(number), index - int(self._starts[number])

    def read_frames(self, index: int) -> NDArray[np.uint8]:
        """Read a clip's frames: (16, 128, 171, 3) uint8 RGB."""
        shard, clip = self.locate(index)
        return shard.read_frames(clip)

    def read_frames_into(self, index: int, out: NDArray[np.uint8]) -> None:
        """Read a clip's frames into `out`; see `mas_labels.shard_reader.Shard.read_frames_into`."""
        shard, clip = self.locate(index)
        shard.read_frames_into(clip, out)

    def read_labels(self, index: int) -> NDArray[np.uint8]:
        """Read a clip's labels of all views: (V, 27) uint8."""
        shard, clip = self.locate(index)
        return shard.read_labels(clip)

    @property
    def videos(self) -> list[Video]:
        """Every video with clips, shard by shard."""
        return [
            _video(shard, row)
            for shard in self._each_shard()
            for row in range(len(shard.read("videos/frames")))
        ]

    @property
    def failures(self) -> list[Failure]:
        """Every video that could not be used, shard by shard."""
        return [failure for shard in self._each_shard() for failure in read_failures(shard)]

    def _each_shard(self) -> Iterator[Shard]:
        return (self.shard(number) for number in range(len(self.paths)))

    def __len__(self) -> int:
        return int(self._starts[-1])

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> list[Clip]: ...
    def __getitem__(self, index: int | slice) -> Clip | list[Clip]:
        if isinstance(index, slice):
            return [Clip(self, at) for at in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return Clip(self, int(index) % len(self))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}

    def close(self) -> None:
        """Close all files; they are opened again when needed."""
        while self._open:
            self._open.popitem()[1].close()

    def __repr__(self) -> str:
        kind = f"{len(self.views)} views of 27 labels each" if self.has_labels else "frames only"
        options = ", ".join(f"{name}={value}" for name, value in self.config.items())
        return (
            f"{len(self)} clips in {len(self.paths)} shards: {kind}; {len(self.failures)} failures\n{options}"
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def _video(shard: Shard, row: int) -> Video:
    """Read row `row` of a shard's table of videos."""

    def text(path: str, at: int) -> str:
        return os.fsdecode(bytes(shard.read(path, at)))

    class_index = int(shard.read("videos/class_index", row))
    return Video(
        path=text("videos/path", row),
        class_name=text("classes", class_index) if class_index >= 0 else None,
        class_index=class_index,
        splits=tuple(filter(None, text("videos/splits", row).split(","))),
        group=text("videos/group", row) or None,
        frames=int(shard.read("videos/frames", row)),
        fps=float(shard.read("videos/fps", row)),
        clips=int(shard.read("videos/clips", row)),
    )


def read_failures(shard: Shard) -> list[Failure]:
    """Read the videos of one shard that could not be used."""
    columns = (shard.read_texts(f"failures/{name}") for name in ("path", "stage", "code", "message"))
    return [Failure(*row) for row in zip(*columns, strict=True)]


def find_shards(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Find the shards that paths name, in order, each once.

    Parameters and errors are those of `open_shards`, but nothing is opened.
    """
    asked = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: dict[Path, None] = {}
    for item in [os.fspath(one) for one in asked]:
        path = Path(item)
        if path.is_dir():
            matches = [str(match) for match in path.glob("*.h5")]
        else:
            matches = [item] if path.is_file() else glob.glob(item)  # noqa: PTH207 - absolute patterns too
        if not matches:
            raise DatasetError(f"no shards match {item!r}: expected *.h5 files written by `mas-labels make`")
        found.update(dict.fromkeys(map(Path, sorted(matches))))
    if not found:
        raise DatasetError("no shards given: name *.h5 files written by `mas-labels make`")
    return list(found)


def open_shards(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> ShardSet:
    """Open shards as one sequence of clips.

    Parameters
    ----------
    paths
        A file, a folder (all its ``*.h5``), a pattern such as ``"labels/*.h5"``, or a list of these.

    Returns
    -------
    ShardSet

    Raises
    ------
    DatasetError
        If nothing matches.
    ShardError
        If a shard is damaged or foreign, or two were made with different options.
    """
    return ShardSet(find_shards(paths))
