"""A picture of neighbours: a few videos, and the videos nearest to each, as thumbnails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ConfigError
from mas_labels.shards import ShardSet, as_unicode, printable, spread_evenly
from mas_labels.stream import StreamedClip, StreamedVideo, stream_clips
from mas_train.inference.feature_files import BLOCK_ROWS, FeatureTable
from mas_train.inference.sources import ShardSource, VideoSource
from mas_train.model.similarity import nearest_rows, normalise_rows
from mas_train.runtime.figures import make_figure, save_figure, shorten

DRAWN_QUERIES: Final = 6
"""Number of queries in the picture, evenly spread over all, where none are named."""
DRAWN_NEIGHBOURS: Final = 5
"""Number of videos next to each."""
TITLE_LETTERS: Final = 26
MAX_CLIPS: Final = 64
"""Clips of a video that are decoded for its first one: ending a process and starting one takes longer."""

Frames = Mapping[str, NDArray[np.uint8]]
"""A picture of each video, (rows, cols, 3) RGB, by the video's name."""


class PicturedVideos(NamedTuple):
    """Videos with their features and classes, and the way to a picture of each."""

    names: Sequence[str]
    values: NDArray[np.floating]
    """(V, D), the feature of each."""
    classes: Sequence[str | None]
    """The class of each; None where it is unknown."""
    read_frames: Callable[[Set[str]], Frames]
    """Reads the pictures of some of the videos; those that cannot be read are left out."""


class Thumbnail(NamedTuple):
    """One video in the picture."""

    frame: NDArray[np.uint8] | None
    """(rows, cols, 3); None if it cannot be read now."""
    title: str
    caption: str
    is_hit: bool | None
    """True if the video is of the query's class; None for the query itself, and where a class is unknown."""


def draw_neighbours(
    gallery: PicturedVideos, queries: PicturedVideos, chosen: Sequence[int], path: Path
) -> None:
    """Draw some videos and the videos nearest to them by cosine similarity, one row each, as a PNG file.

    Raises the errors of `mas_train.runtime.figures.make_figure` and `save_figure`.

    Parameters
    ----------
    gallery
        The videos among which the nearest are found; classes are spelled as those of `queries`.
    queries
        The videos of which some are drawn. If they are the gallery, none is its own neighbour.
    chosen
        Rows of `queries` to draw.
    path
        The picture.
    """
    similarity = normalise_rows(queries.values[list(chosen)]) @ normalise_rows(gallery.values).T  # cosine
    nearest = nearest_rows(similarity, DRAWN_NEIGHBOURS, chosen if queries is gallery else None)
    of_queries = queries.read_frames({queries.names[row] for row in chosen})
    of_gallery = gallery.read_frames({gallery.names[row] for row in nearest.ravel().tolist()})
    rows = []
    for query, neighbours, near in zip(chosen, nearest, similarity, strict=True):
        row = [_thumbnail(queries, query, of_queries, "", None)]
        for neighbour in neighbours.tolist():
            classes = queries.classes[query], gallery.classes[neighbour]
            is_hit = None if None in classes else classes[0] == classes[1]
            row.append(_thumbnail(gallery, neighbour, of_gallery, f"{near[neighbour]:.2f}  ", is_hit))
        rows.append(row)
    _draw_thumbnails(rows, path)


def _thumbnail(
    videos: PicturedVideos, row: int, frames: Frames, nearness: str, is_hit: bool | None
) -> Thumbnail:
    """Make the thumbnail of a video, with its class as the title and the end of its name below it."""
    name = videos.names[row]
    return Thumbnail(frames.get(name), videos.classes[row] or "", f"{nearness}{Path(name).name}", is_hit)


def _draw_thumbnails(rows: Sequence[Sequence[Thumbnail]], path: Path) -> None:
    """Draw one row per query, itself first; neighbours of another class are paler and have a cross.

    The cross shows the difference without colours, too.
    """
    columns = max(map(len, rows))
    figure = make_figure((1.75 * columns, 1.72 * len(rows)))
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for row, axes in zip(rows, grid, strict=True):
        for panel in axes:
            panel.set_axis_off()
        for place, (panel, thumbnail) in enumerate(zip(axes, row, strict=False)):
            mark = {None: "", True: "\u2713 ", False: "\u2717 "}[thumbnail.is_hit]
            if thumbnail.frame is None:
                panel.text(0.5, 0.5, "cannot be read now", ha="center", va="center", fontsize=7)
            else:
                panel.imshow(thumbnail.frame, alpha=0.6 if thumbnail.is_hit is False else 1.0)
            lines = (f"{mark}{thumbnail.title}", thumbnail.caption)
            text = "\n".join(shorten(line, TITLE_LETTERS) for line in lines if line)
            weight = "normal" if place else "bold"
            panel.set_title(text, fontsize=7, fontweight=weight, parse_math=False, pad=3)
    save_figure(figure, path)


def find_queries(videos: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Return the names of the videos that somebody asks for, by name or by path.

    Raises
    ------
    ConfigError
        If there is no such video.
    """
    found = []
    for text in asked:
        fitting = [name for name in videos if text == name or text.endswith(f"/{name}")]
        if not fitting:
            known = ", ".join(map(printable, videos[:3]))
            raise ConfigError(f"--query: no video {printable(text)}: names are such as {known}")
        found.append(max(fitting, key=len))
    return found


def draw_table(
    table: FeatureTable, source: ShardSource | VideoSource, asked: Sequence[str], path: Path
) -> list[str]:
    """Draw the neighbours of some videos among all videos of a table of features, as a PNG file.

    Parameters
    ----------
    table
        A row a clip, whose mean over each video is compared, or a row a video.
    source
        The source of the features, from which the frames come.
    asked
        Names of videos; none: `DRAWN_QUERIES`, evenly spread.
    path
        The picture.

    Returns
    -------
    Lines about videos, or all of the picture, that could not be drawn; none if all was.
    """
    names, values, classes = mean_features(table)
    if len(names) < 2:
        return [f"{path} is not drawn: fewer than two videos have features"]
    originals = {as_unicode(name): name for name in source.videos}

    def read_frames(chosen: Set[str]) -> Frames:
        frames = read_frames_of(source, {originals[name] for name in chosen})
        return {as_unicode(name): frame for name, frame in frames.items()}

    places = {name: place for place, name in enumerate(names)}
    wanted = [as_unicode(name) for name in asked]
    chosen = [places[name] for name in wanted if name in places]
    if not wanted:
        chosen = spread_evenly(len(names), DRAWN_QUERIES, ends=False).tolist()
    videos = PicturedVideos(names, values, classes, read_frames)
    lost = [f"{path}: {printable(name)} has no features" for name in wanted if name not in places]
    if chosen:
        draw_neighbours(videos, videos, chosen, path)
    return lost if chosen else [*lost, f"{path} is not drawn"]


def mean_features(table: FeatureTable) -> tuple[list[str], NDArray[np.float64], list[str | None]]:
    """Return name, mean feature and class of every video of a table that has a feature."""
    rows = np.flatnonzero(table.has_feature).tolist()
    of_rows = [table.columns["video"][row] for row in rows]
    classes = {table.columns["video"][row]: table.columns["class"][row] for row in rows}
    places = {name: place for place, name in enumerate(classes)}
    numbers = np.array([places[name] for name in of_rows], np.int64)
    sums = np.zeros((len(places), table.features.shape[1]))
    for start in range(0, len(rows), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        np.add.at(sums, numbers[block], table.features[block])
    return list(places), sums / np.bincount(numbers, minlength=1)[:, None], list(classes.values())


def read_frames_of(source: ShardSource | VideoSource, names: Set[str]) -> Frames:
    """Read the middle frame of the first clip of each of some videos; without those that cannot be read."""
    if isinstance(source, ShardSource):
        return read_middle_frames(source.shards, names)
    left, frames = sorted(names), {}
    while left:
        for name, frame in _first_frames(source, left):
            left.remove(name)
            if frame is not None:
                frames[name] = frame
    return frames


def _first_frames(
    source: VideoSource, names: Sequence[str]
) -> Iterator[tuple[str, NDArray[np.uint8] | None]]:
    """Yield the frames of videos until one is too long to be decoded to its end: others take a new call."""
    videos = {name: source.inputs.videos[name] for name in names}
    first, clips = None, 0
    with closing(stream_clips(videos, source.options, 1, source.timeout_seconds)) as items:  # type: ignore[type-var]
        for item in items:
            if isinstance(item, StreamedClip) and not clips:
                first = item.frames[len(item.frames) // 2]
            clips += 1
            if isinstance(item, StreamedVideo) or clips == MAX_CLIPS:
                yield item.video, first
                first, clips = None, 0
                if isinstance(item, StreamedClip):
                    return


def read_middle_frames(shards: ShardSet, names: Set[str]) -> Frames:
    """Read the middle frame of the first clip of each of some videos of a shard set."""
    frames: dict[str, NDArray[np.uint8]] = {}
    for number in range(len(shards.paths)):
        shard = shards.shard(number)
        paths = shard.read_texts("videos/path")
        if not names & set(paths):
            continue
        for clip, row in enumerate(shard.read("clips/video").tolist()):
            if paths[row] in names and paths[row] not in frames:
                of_clip = shard.read_frames(clip)
                frames[paths[row]] = of_clip[len(of_clip) // 2]
    return frames
