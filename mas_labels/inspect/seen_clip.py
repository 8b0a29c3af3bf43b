"""The data of one view of a clip that the panels of its picture show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError
from mas_labels.flow.estimators import compute_flow
from mas_labels.flow.methods import STORED
from mas_labels.geometry import Geometry
from mas_labels.labels.conventions import Convention, get_convention
from mas_labels.labels.motion_boundary import flow_derivatives, motion_boundaries
from mas_labels.schema import LABEL_NAMES

COMPUTED: Final = "computed again from the stored frames"
OTHER_FLOW: Final = "TV-L1 of the stored frames, not the flow that was read from files for the labels"
"""Sources of flow or boundaries that are not stored in the shard."""


class SeenSource(Protocol):
    """A clip that can be drawn, such as `mas_labels.shards.Clip`."""

    @property
    def index(self) -> int:
        """Number of the clip, for its title."""

    @property
    def video(self) -> str:
        """Path of its video, relative to the data set's root."""

    @property
    def class_name(self) -> str | None:
        """Class of its video, None without one."""

    @property
    def start_frame(self) -> int:
        """Number of its first frame in the video, from 0."""

    @property
    def cut(self) -> bool | None:
        """True if it lies across a shot cut; None if that is not known."""

    @property
    def options(self) -> dict[str, Any]:
        """The options it was labelled with: flow, convention, frames."""

    @property
    def geometry(self) -> Geometry:
        """Number and size of its frames, and size of its views."""

    @property
    def frames(self) -> NDArray[np.uint8]:
        """(frames, rows, cols, 3) uint8 RGB."""

    @property
    def flow(self) -> NDArray[np.float32] | None:
        """(frames - 1, rows, cols, 2) float32, (u, v) in pixels per frame; None if it is not stored."""

    @property
    def motion_boundaries(self) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Mu and Mv, each (rows, cols, 2) float32; None if they are not stored."""

    @property
    def views(self) -> NDArray[np.int16]:
        """(V, 3) int16: top, left, mirrored."""

    @property
    def view_labels(self) -> NDArray[np.uint8]:
        """(V, 27) uint8: the labels of each view."""


@dataclass(frozen=True)
class SeenClip:
    """One view of a clip.

    Attributes
    ----------
    clip
        The clip.
    view
        Row of the clip's table of views.

    Raises
    ------
    InputError
        If the clip has no labels, or no such view.
    """

    clip: SeenSource
    view: int = 0

    def __post_init__(self) -> None:
        if not len(self.clip.views):
            raise InputError(
                "expected a clip with labels, found frames only: make shards without --frames-only"
            )
        if not 0 <= self.view < len(self.clip.views):
            raise InputError(f"expected a view from 0 to {len(self.clip.views) - 1}, found {self.view}")

    @cached_property
    def frames(self) -> NDArray[np.uint8]:
        """(frames, rows, cols, 3) uint8 RGB: whole frames, not mirrored."""
        return self.clip.frames

    @property
    def corner(self) -> tuple[int, int]:
        """(top, left) of the view in the whole frame, pixels."""
        top, left, _ = (int(value) for value in self.clip.views[self.view])
        return top, left

    @property
    def mirrored(self) -> bool:
        """True if the view is mirrored after cropping."""
        return bool(self.clip.views[self.view, 2])

    @property
    def convention(self) -> Convention:
        """The convention of the labels' numbers."""
        return get_convention(self.clip.options["convention"])

    @cached_property
    def labels(self) -> dict[str, int]:
        """The 27 labels of the view by name."""
        return dict(zip(LABEL_NAMES, self.clip.view_labels[self.view].tolist(), strict=True))

    @cached_property
    def middle(self) -> NDArray[np.uint8]:
        """(side, side, 3) uint8: the middle frame, cropped and mirrored as the view is."""
        cropped = self.crop(self.frames[len(self.frames) // 2])
        return cropped[:, ::-1] if self.mirrored else cropped

    def crop(self, picture: NDArray) -> NDArray:
        """Crop an array (rows, cols, ...) to the view, without mirroring it."""
        (top, left), side = self.corner, self.clip.geometry.view_size
        return picture[top : top + side, left : left + side]

    @cached_property
    def flow(self) -> NDArray[np.float32]:
        """(frames - 1, rows, cols, 2) float32, (u, v) pixels per frame, not mirrored; see `flow_source`."""
        stored = self.clip.flow
        if stored is not None:
            return stored
        method = self.clip.options["flow"]
        return compute_flow(self.frames, "tvl1" if method == STORED else method)

    @property
    def flow_source(self) -> str:
        """Source of `flow`, as text: stored, or computed again.

        Notes
        -----
        Labels come from the flow of the frames before they were stored as JPEG; that of the stored frames is
        close to it, but not equal.
        """
        return "stored" if self.clip.flow is not None else self._computed

    @cached_property
    def boundaries(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mu and Mv of the whole frame, (rows, cols, 2) float32 each; see `boundaries_source`."""
        return self.clip.motion_boundaries or motion_boundaries(self.flow, self.convention.name)

    @property
    def boundaries_source(self) -> str:
        """Source of `boundaries`, as text: stored, or computed again."""
        return "stored" if self.clip.motion_boundaries is not None else self._computed

    @property
    def _computed(self) -> str:
        """Source of what is not stored."""
        return OTHER_FLOW if self.clip.options["flow"] == STORED else COMPUTED

    @cached_property
    def field_magnitudes(self) -> NDArray[np.float64]:
        """(2, frames - 1) float64: sum over the view of each field's own boundary magnitude, of u and of v.

        Labels `ui` and `vi` name the largest of each row (paper, section 3.2).
        """
        (top, left), side = self.corner, self.clip.geometry.view_size
        derivatives = flow_derivatives(self.flow, self.convention.derivative)
        cropped = derivatives[:, :, top : top + side, left : left + side].astype(np.float64)
        return np.hypot(cropped[..., 0], cropped[..., 1]).sum(axis=(2, 3))
