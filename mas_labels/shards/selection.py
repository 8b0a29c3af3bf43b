"""Clips chosen from a set of shards: filters, slices, and a table of them for notebooks."""

from __future__ import annotations

import html
import operator
from abc import abstractmethod
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError, ShardError
from mas_labels.geometry import Geometry
from mas_labels.names import printable
from mas_labels.schema import LABEL_NAMES
from mas_labels.shards.clip import Clip, ClipSource
from mas_labels.shards.columns import ClipColumns
from mas_labels.system.extras import load_extra

if TYPE_CHECKING:
    import pandas


LISTED_CLIPS: Final = 12
"""Clips of a selection that are listed when a notebook displays it."""
ALL_CLIPS: Final = "all clips"
"""Description of a selection that nothing was filtered out of."""


def spread_evenly(count: int, limit: int, ends: bool = True) -> NDArray[np.int64]:
    """Choose at most `limit` of `count` places, evenly spread: (n,) int64, ascending.

    Parameters
    ----------
    count, limit
        Number of places, and the most to choose.
    ends
        True: the first and the last place are among them; False: the middles of equal parts are chosen.
    """
    chosen = min(count, limit)
    places = np.linspace(0, count - 1, chosen if ends else 2 * chosen + 1)
    return np.unique((places if ends else places[1::2]).round().astype(np.int64))


class ClipSequence(Sequence[Clip]):
    """Clips in order, from which filters and slices choose: a set of shards, or a selection of its clips."""

    @property
    @abstractmethod
    def clips(self) -> ClipSelection:
        """These clips, as a selection."""

    @abstractmethod
    def _clip(self, place: int) -> Clip:
        """Return the clip at a place from 0."""

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> ClipSelection: ...
    def __getitem__(self, index: int | slice) -> Clip | ClipSelection:
        if isinstance(index, slice):
            clips = self.clips
            return ClipSelection(clips.shards, clips.indices[index], clips.description)
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"clip {number} of {len(self)}")
        return self._clip(number % len(self))

    def where(
        self,
        *,
        video: str | Collection[str] | None = None,
        class_name: str | Collection[str] | None = None,
        min_motion: float | None = None,
        max_motion: float | None = None,
        cut: bool | None = None,
        view: int = 0,
        **labels: int | Collection[int],
    ) -> ClipSelection:
        """Choose the clips that match all given filters.

        Parameters
        ----------
        video
            Path of the video, relative to the data set's root, or a pattern such as ``"*/v_Biking_*"``; or
            a collection of them, one of which must match.
        class_name
            Class of the video, or a pattern, or a collection of them.
        min_motion, max_motion
            Inclusive bounds of the clip's mean magnitude of motion boundaries, which is the mean of
            `Clip.motion`, in pixels.
        cut
            Whether the clip lies across a shot cut.
        view
            Row of the table of views whose labels are compared.
        **labels
            Name of a label -> its value, or a collection of allowed values: ``grid_ul=6, C=(1, 8)``.

        Returns
        -------
        ClipSelection

        Raises
        ------
        InputError
            If there is no such label, value or view.
        ShardError
            If a shard is damaged, or does not hold cuts, motion or labels that are filtered by.
        """
        chosen = self.clips
        shards, indices = chosen.shards, chosen.indices
        allowed = {name: _allowed_values(name, value, shards.geometry) for name, value in labels.items()}
        _check_view(shards, view, bool(allowed))
        columns = shards.clip_columns(view)
        videos = columns.videos[indices]
        keep = np.ones(len(self), bool)
        if video is not None:
            keep &= _match_all(columns.paths.tolist(), video)[videos]
        if class_name is not None:
            keep &= _match_all(_class_names(shards, columns), class_name)[videos]
        if min_motion is not None or max_motion is not None:
            _require_motion(shards)
            motion = columns.motion[indices]
            keep &= motion >= (-np.inf if min_motion is None else min_motion)
            keep &= motion <= (np.inf if max_motion is None else max_motion)
        if cut is not None:
            _require_cut(shards, indices[columns.cut[indices] < 0])
            keep &= columns.cut[indices] == cut
        for name, values in allowed.items():
            keep &= np.isin(columns.labels[indices, LABEL_NAMES.index(name)], values)
        filters = {
            "video": video,
            "class_name": class_name,
            "min_motion": min_motion,
            "max_motion": max_motion,
            "cut": cut,
        }
        terms = [] if chosen.description == ALL_CLIPS else [chosen.description]
        terms += [f"{name}={value!r}" for name, value in {**filters, **labels}.items() if value is not None]
        terms += [f"view={view}"] if view else []
        return ClipSelection(shards, indices[keep], ", ".join(terms) or chosen.description)

    def columns(self, view: int = 0) -> dict[str, NDArray[Any]]:
        """Read the columns of `table` as plain arrays, each with one value per clip.

        Returns
        -------
        ``index``, ``video``, ``class_name`` (object; None without one), ``start_frame``, ``cut`` (int8: 1
        across a shot cut, else 0; -1 where it is not stored), ``motion`` (float32, pixels; NaN where it is
        not stored), then the 27 labels of a view by name, unless there are none.
        """
        clips = self.clips
        shards, indices = clips.shards, clips.indices
        _check_view(shards, view, False)
        stored = shards.clip_columns(view)
        videos = stored.videos[indices]
        labels = stored.labels[indices]
        columns = {
            "index": indices,
            "video": stored.paths.astype(object)[videos],
            "class_name": np.array(_class_names(shards, stored), object)[videos],
            "start_frame": stored.start_frames[indices],
            "cut": stored.cut[indices],
            "motion": stored.motion[indices],
        }
        return columns | dict(zip(LABEL_NAMES, labels.T, strict=False))

    def table(self, view: int = 0) -> pandas.DataFrame:
        """Return the clips as a pandas table with one row per clip; see `columns`.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed; `columns` gives the same as plain arrays.
        """
        more = "; columns() gives the same as plain arrays"
        pandas = load_extra("pandas", "tables need", "inspect", more)
        columns = self.columns(view)
        index = pandas.Index(columns.pop("index"), name="clip") if columns else None
        return pandas.DataFrame(columns, index=index)


class ClipSelection(ClipSequence):
    """Some clips of a set of shards, in order; a clip is read only when it is used.

    Attributes
    ----------
    shards
        The whole set.
    indices
        (n,) int64: numbers of the clips there.
    description
        The filters that chose them, as text.
    """

    def __init__(self, shards: ClipSource, indices: NDArray[np.int64], description: str = ALL_CLIPS) -> None:
        self.shards, self.indices, self.description = shards, indices, description

    @property
    def clips(self) -> ClipSelection:
        """The selection itself."""
        return self

    def _clip(self, place: int) -> Clip:
        return Clip(self.shards, int(self.indices[place]))

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"{len(self):,} of {len(self.shards):,} clips: {self.description}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{clip.index}</td><td>{html.escape(printable(clip.video))}</td>"
            f"<td>{clip.start_frame}</td></tr>"
            for clip in self[:LISTED_CLIPS]
        )
        more = f"<p>and {len(self) - LISTED_CLIPS:,} more</p>" if len(self) > LISTED_CLIPS else ""
        head = "<tr><th>clip</th><th>video</th><th>start_frame</th></tr>"
        return f"<p>{html.escape(printable(repr(self)))}</p><table>{head}{rows}</table>{more}"


def _require_motion(shards: ClipSource) -> None:
    """Raise `ShardError` if the shards do not hold motion, which all shards of a set do or none."""
    if len(shards):
        shards.locate(0)[0].read("clips/motion", slice(0))


def _require_cut(shards: ClipSource, without: NDArray[np.int64]) -> None:
    """Raise `ShardError` if there are clips without the column, of shards from before it existed."""
    if len(without):
        path = shards.locate(int(without[0]))[0].path
        raise ShardError(
            f"{path}: clips/cut is not stored, an earlier mas-labels made it: label again into another --out"
        )


def _class_names(shards: ClipSource, columns: ClipColumns) -> list[str | None]:
    """Return the class name of each video, None without one."""
    return [shards.classes[number] if number >= 0 else None for number in columns.class_indices.tolist()]


def _match_all(names: Sequence[str | None], patterns: str | Collection[str]) -> NDArray[np.bool_]:
    """Return for each name whether it equals a pattern, letter by letter, or matches it: (n,) bool."""
    patterns = [patterns] if isinstance(patterns, str) else patterns
    found = (name is not None and any(name == p or fnmatchcase(name, p) for p in patterns) for name in names)
    return np.fromiter(found, bool, len(names))


def _allowed_values(name: str, value: int | Collection[int], geometry: Geometry) -> list[int]:
    """Check a label's name and the values to filter by; return the values as a list."""
    if name not in LABEL_NAMES:
        raise InputError(f"expected a label, one of {', '.join(LABEL_NAMES)}, found {name!r}")
    values = list(value) if isinstance(value, Collection) and not isinstance(value, str) else [value]
    largest = geometry.label_max[LABEL_NAMES.index(name)]
    if not all(isinstance(v, int | np.integer) and 0 <= v <= largest for v in values):
        raise InputError(f"expected whole numbers of {name} up to {largest}, found {values}")
    return [int(v) for v in values]


def _check_view(shards: ClipSource, view: int, needed: bool) -> None:
    """Raise `InputError` if there is no such view; without labels, view 0 will do if no labels are needed."""
    if not shards.has_labels and not needed and view == 0:
        return
    if not 0 <= view < len(shards.views):
        views = f"a view from 0 to {len(shards.views) - 1}" if shards.has_labels else "shards with labels"
        raise InputError(f"expected {views}, found view {view}")
