"""A small data set to which videos are added after it was labelled."""

from __future__ import annotations

import shutil

from click.testing import CliRunner

from helpers.videos import FOLDER_MANIFEST, moving_texture, write_video
from mas_labels.cli.main import main
from mas_labels.config import LabelConfig, RunOptions
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.pipeline.run import run
from mas_labels.plan.plan import plan_shards
from mas_labels.shards.reader import Shard
from mas_labels.shards.tables import read_videos

FRAMES = LabelConfig(frames_only=True, store_boundaries=False)


FIRST = ("folder-all-00000-of-00002.h5", "folder-all-00001-of-00002.h5")


def write_clips(folder):
    """Write six short videos, each with its own content."""
    paths = [folder / f"{number}.avi" for number in range(6)]
    for number, path in enumerate(paths):
        write_video(path, moving_texture(16 + number, 40, 60, 1, 0, seed=number))
    return paths


def first_videos(clips, root):
    """Copy three of them into the classes `b` and `d`: two shards of two videos at most."""
    for number, name in enumerate(("b/0.avi", "d/1.avi", "d/2.avi")):
        add(root, name, clips[number])
    return root


def add(root, name, video):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(video, root / name)


def label(root, out, videos_per_shard=2, limit=None, split="all", manifest=FOLDER_MANIFEST, **options):
    listing = find_videos(load_manifest(manifest), root)
    plan = plan_shards(listing, split, videos_per_shard, limit)
    results = run(plan, FRAMES, root, out, options=RunOptions(**options))
    assert [result.error for result in results] == [None] * len(results)
    return results


def command(root, out, *options):
    words = ["make", "--manifest", FOLDER_MANIFEST, "--root", root, "--out", out, "--frames-only"]
    return [str(word) for word in (*words, "--workers", 1, "--videos-per-shard", 2, *options)]


def make(root, out, *options):
    return CliRunner().invoke(main, command(root, out, *options))


def shard_names(out):
    return sorted(path.name for path in out.glob("*.h5"))


def videos_of(out, name):
    with Shard(out / name) as shard:
        return [(video.path, video.class_name, video.class_index) for video in read_videos(shard)]
