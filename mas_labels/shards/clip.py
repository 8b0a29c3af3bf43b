"""One clip of a set of shards, as notebooks, trainers and pictures use it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mas_labels.geometry import Geometry
from mas_labels.names import printable
from mas_labels.schema import LABEL_NAMES
from mas_labels.shards.reader import Shard
from mas_labels.shards.tables import Video, read_video

if TYPE_CHECKING:
    from mas_labels.inspect.picture import Picture
    from mas_labels.labels.label_counts import LabelCounts
    from mas_labels.shards.columns import ClipColumns


class ClipSource(Protocol):
    """The part of `mas_labels.shards.ShardSet` that its clips and selections use; see there."""

    config: dict[str, Any]
    geometry: Geometry
    views: NDArray[np.int16]
    classes: list[str]

    @property
    def has_labels(self) -> bool:
        """True if the shards hold labels."""

    @property
    def label_counts(self) -> LabelCounts:
        """Number of times each label has each value."""

    def locate(self, index: int) -> tuple[Shard, int]:
        """Return the shard that holds a clip, and the clip's row there."""

    def read_frames(self, index: int) -> NDArray[np.uint8]:
        """Read a clip's frames."""

    def read_labels(self, index: int) -> NDArray[np.uint8]:
        """Read a clip's labels of all views."""

    def clip_columns(self, view: int = 0) -> ClipColumns:
        """Read the columns that filters and tables need."""

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Clip:
    """One clip; each property is read from the shard when it is used.

    Attributes
    ----------
    shards
        The set it belongs to.
    index
        Its number there.
    """

    shards: ClipSource
    index: int

    @property
    def options(self) -> dict[str, Any]:
        """The options its shard was made with."""
        return self.shards.config

    @property
    def geometry(self) -> Geometry:
        """Number and size of its frames, and size of its views."""
        return self.shards.geometry

    @property
    def frames(self) -> NDArray[np.uint8]:
        """(frames, rows, cols, 3) uint8 RGB."""
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
        """Mu and Mv, each (rows, cols, 2) float32 (stored as float16); None if they are not stored."""
        shard, clip = self.shards.locate(self.index)
        if "clips/mu" not in shard:
            return None
        return shard.read("clips/mu", clip).astype(np.float32), shard.read("clips/mv", clip).astype(
            np.float32
        )

    @property
    def flow(self) -> NDArray[np.float32] | None:
        """(frames - 1, rows, cols, 2) float32, (u, v) in pixels per frame; None if it is not stored."""
        shard, clip = self.shards.locate(self.index)
        return shard.read("clips/flow", clip).astype(np.float32) if "clips/flow" in shard else None

    @property
    def cut(self) -> bool | None:
        """True if it lies across a shot cut: its labels describe no motion; None if that is not stored."""
        shard, clip = self.shards.locate(self.index)
        return bool(shard.read("clips/cut", clip)) if "clips/cut" in shard else None

    @property
    def motion(self) -> NDArray[np.float32]:
        """(frames - 1, 2) float32: mean magnitude of each flow field's boundaries, of u and of v, in pixels.

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
        """The video that it was cut from."""
        shard, clip = self.shards.locate(self.index)
        return read_video(shard, int(shard.read("clips/video", clip)))

    @property
    def video(self) -> str:
        """Path of its video, relative to the data set's root."""
        return self.source.path

    @property
    def class_name(self) -> str | None:
        """Class of its video, None without one."""
        return self.source.class_name

    def show(self, view: int = 0, shares: bool = True) -> Picture:
        """Draw the clip as one view sees it: frames, flow, motion boundaries, patterns, the 27 labels.

        Parameters
        ----------
        view
            Row of `views`, mirrored or not; 0 is the centre view.
        shares
            True: the share of clips with its value is shown next to each label. For this, the labels of all
            shards, or of 200 of them if there are more, are read once.

        Returns
        -------
        Picture
            A notebook displays it; ``.save("clip.png")`` writes it to a file.

        Raises
        ------
        InputError
            If the clip has no labels, or no such view.
        MissingDependencyError
            If matplotlib is not installed.
        """
        from mas_labels.inspect.clip_picture import clip_figure
        from mas_labels.inspect.picture import Picture

        return Picture(clip_figure(self, view, self.shards.label_counts if shares else None))

    def __repr__(self) -> str:
        return f"Clip {self.index}: {self.video!r} from frame {self.start_frame}, class {self.class_name}"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in self.labels.items())
        return f"<p>{html.escape(printable(repr(self)))}</p><table>{rows}</table>"
