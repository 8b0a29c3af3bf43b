"""Opens what a command line names: shards, or videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mas_labels.errors import ConfigError
from mas_labels.geometry import Geometry
from mas_labels.schema import SHARD_START
from mas_labels.shards import open_shards
from mas_labels.stream import ClipOptions, find_inputs
from mas_labels.system.path_kinds import SHARD_EXTENSION
from mas_train.data.views import describe_views
from mas_train.inference.options import SourceOptions
from mas_train.inference.sources import ShardSource, VideoSource


def open_source(
    paths: Sequence[Path], options: SourceOptions, geometry: Geometry
) -> ShardSource | VideoSource:
    """Open shards, or find videos.

    Parameters
    ----------
    paths
        Shards (``.h5``) and folders of shards; or videos, folders of videos, and lists (``.txt``, ``.csv``).
    options
        The clips to take; all are of videos.
    geometry
        That of the weights, and of the clips to cut from videos; shards have their own, and a note if it
        differs.

    Raises
    ------
    ConfigError
        If shards come with videos, or with options that belong to videos.
    MasError
        The errors of `mas_labels.shards.open_shards` and `mas_labels.stream.find_inputs`.
    """
    are_shards = [_is_shard(path) for path in paths]
    if paths and all(are_shards):
        if options != SourceOptions(video_timeout_seconds=options.video_timeout_seconds):
            raise ConfigError(
                f"{paths[0]} holds shards, whose clips are cut already: leave out --manifest, --root, "
                "--split, --splits, --follow-links, --clip-stride and --fps, or give the videos"
            )
        source = ShardSource(open_shards(list(paths)))
        seen, learnt = (
            f"{describe_views(sizes)}, step {sizes.frame_step}, of {sizes.frame_rows} x {sizes.frame_cols}"
            for sizes in (source.geometry, geometry)
        )
        source.notes = [f"note: the weights were trained on {learnt}; the shards hold {seen}"] * (
            seen != learnt
        )
        return source
    if any(are_shards):
        shards, videos = paths[are_shards.index(True)], paths[are_shards.index(False)]
        raise ConfigError(f"expected shards or videos, found both, {shards} and {videos}: take one at a time")
    names = ("manifest", "root", "split", "splits_dir", "follow_links")
    inputs = find_inputs(paths, **{name: getattr(options, name) for name in names})
    clips = ClipOptions(geometry, options.clip_stride_frames, options.fps)
    inputs.require_times(clips.fps)
    return VideoSource(inputs, clips, options.video_timeout_seconds)


def _is_shard(path: Path) -> bool:
    """Return whether a path names shards: a file or pattern ``.h5``, or a folder that holds one."""
    if path.suffix == SHARD_EXTENSION:
        return True
    return path.is_dir() and any(map(_begins_as_shard, path.glob(f"*{SHARD_EXTENSION}")))


def _begins_as_shard(path: Path) -> bool:
    """Return whether a file begins as shards do; False also if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(SHARD_START)) == SHARD_START.encode()
    except OSError:
        return False
