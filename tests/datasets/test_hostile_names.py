"""Names, manifests, list files and options of any kind: clips, or one of our errors."""

from __future__ import annotations

import os
import re
import string
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from helpers.shards import VIEWS, made_up_clip
from helpers.videos import FOLDER_MANIFEST, moving_texture, write_video
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mas_labels
from mas_labels.config import LabelConfig
from mas_labels.datasets.find_videos import find_videos, list_videos
from mas_labels.datasets.folder import FolderContents, resolve_inside
from mas_labels.datasets.listing import VideoRecord, describe
from mas_labels.datasets.manifest import Manifest, load_manifest, packaged_manifests, parse_manifest
from mas_labels.datasets.path_match import match_paths
from mas_labels.errors import ConfigError, DatasetError, MasError, VideoError
from mas_labels.shards.writer import ShardWriter
from mas_labels.video.video_file import VideoReader

QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
ON_DISK = st.binary(min_size=1, max_size=40).filter(
    lambda name: b"\0" not in name and b"/" not in name and name not in (b".", b"..")
)
"""Any name that Linux lets a file have."""


@QUICK
@given(
    folder=ON_DISK, name=ON_DISK, group=ON_DISK, message=st.text(max_size=30).filter(lambda t: "\0" not in t)
)
def test_any_name_goes_through_a_shard_unchanged(folder, name, group, message, tmp_path):
    path, group = os.fsdecode(folder + b"/" + name), os.fsdecode(group)
    class_name = os.fsdecode(folder)
    target = tmp_path / "a.h5"
    target.unlink(missing_ok=True)
    with ShardWriter(target, LabelConfig(view_stride_pixels=59), {}, VIEWS, (class_name,), {}) as writer:
        writer.add_clip(0, *CLIP)
        writer.add_video(VideoRecord(path, class_name, 0, ("a",), group), VideoReader(target), 1)
        writer.add_failure(path, VideoError("open", "cannot_open", _encodable(message)))
    shards = mas_labels.open_shards(target)
    assert (shards[0].video, shards[0].class_name, shards[0].source.group) == (path, class_name, group)
    assert shards.failures == [(path, "open", "cannot_open", _encodable(message))]
    shards.shard(0).verify()
    shards.close()


CLIP = made_up_clip(0)


def _encodable(text):
    return text.encode("utf-8", "replace").decode()


AWKWARD = [
    "with space.avi",
    "quote'and\".avi",
    "line\nbreak.avi",
    "ünïcödé 视频 🎬.avi",
    "#[1-9]*?{a}.avi",
    "-rf.avi",
    "100%d %s.avi",
    "back\\slash.avi",
    "a:b|c;d&e$HOME`x`.avi",
    os.fsdecode(b"latin-\xe9.avi"),
    "n" * 200 + ".avi",
]


def test_the_command_accepts_every_name(tmp_path):
    """Labelled, verified against the videos, and listed; one class per name, too."""
    root = tmp_path / "root '#[\n"
    made = write_video(tmp_path / "made.avi", moving_texture(17, 48, 64, 1, 0))
    for name in AWKWARD:
        folder = root / f"class {name[:20]}"
        folder.mkdir(parents=True)
        (folder / name).write_bytes(made.read_bytes())
    (root / "class with space.avi" / "bro\nken'.avi").write_bytes(b"no video")
    out = tmp_path / "out '#[\n"
    make = ["make", "--manifest", FOLDER_MANIFEST, "--root", root, "--out", out, "--flow", "dis"]
    assert mas(*make, "--view-stride", "59", "--workers", "1").returncode == 3
    verified = mas("verify", out, "--deep", "--recompute", "100%", "--root", root)
    assert verified.returncode == 0, verified.stdout
    assert b"11 clips labelled again" in verified.stdout
    assert "'class with space.avi/bro\\nken\\'.avi'" in mas(
        "failures", out
    ).stdout.decode() or b"bro\\nken" in (mas("failures", out).stdout)
    assert {clip.video.split("/")[1] for clip in mas_labels.open_shards(out)} == set(AWKWARD)


def mas(*arguments):
    command = [sys.executable, "-m", "mas_labels", *map(os.fspath, arguments)]
    return subprocess.run(
        command, stdout=subprocess.PIPE, timeout=120, cwd=Path(__file__).parents[2], check=False
    )


GOOD = {"name": "a", "description": "b", "path": "(?P<class>[^/]+)/.+", "extensions": [".avi"]}
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
KEYS = st.sampled_from(
    [*GOOD, "splits", "list_folders", "class_list", "videos_per_shard", "store_boundaries", "other"]
)


@QUICK
@given(st.dictionaries(KEYS, VALUES, max_size=3), st.booleans())
def test_any_mapping_is_a_manifest_or_refused(changes, on_top):
    try:
        assert isinstance(parse_manifest({**GOOD, **changes} if on_top else changes), Manifest)
    except ConfigError as error:
        assert str(error)


@QUICK
@given(st.one_of(st.binary(max_size=60), st.text("[]{}:!-&*#|>'\"\n ab1", max_size=40).map(str.encode)))
def test_any_bytes_are_a_manifest_or_refused(tmp_path, data):
    path = tmp_path / "a.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        load_manifest(path)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1500,
        "!!int x",
        "!!bool x",
        "!!timestamp x",
        "!!python/object/apply:os.system ['true']",
        "? {a: b}\n: c",
        "a: 2001-99-99",
        "9" * 5000,
    ],
)
def test_yaml_that_crashes_its_parser_is_refused(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError):
        load_manifest(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    "changes",
    [
        {"class_list": "/etc/passwd"},
        {"class_list": "../classInd.txt"},
        {"list_folders": ["/etc"]},
        {"list_folders": ["../../etc"]},
        {"list_folders": ["lists/../.."]},
        {"splits": [{"by": "lists", "files": {"a": "/etc/passwd"}}]},
        {"splits": [{"by": "lists", "files": {"a": "b/../../c"}}]},
        {"splits": [{"by": "groups", "groups": {"a": "1-99999999999"}}], "path": "(?P<group>.+)"},
        {"splits": [{"by": "groups", "groups": {"../a": "1"}}], "path": "(?P<group>.+)"},
        {"name": "../a"},
        {"name": "a" * 300},
        {"path": "(a{99999999999})"},
        {"path": "((a{1000}){1000}){1000}"},
    ],
)
def test_a_manifest_that_leads_out_or_asks_for_too_much_is_refused(changes):
    with pytest.raises(ConfigError):
        parse_manifest({**GOOD, **changes})


@pytest.mark.parametrize(
    "run",
    [lambda call: call(), lambda call: ThreadPoolExecutor(1).submit(call).result()],
    ids=["main", "other"],
)
def test_a_path_that_takes_exponential_time_to_match_is_refused(tmp_path, monkeypatch, run):
    """Exponentially many ways, in the main thread and in another one."""
    monkeypatch.setattr("mas_labels.datasets.path_match.MAX_MATCH_SECONDS", 0.1)
    manifest = parse_manifest({**GOOD, "path": "(a|aa)+b"})
    contents = FolderContents((f"{'a' * 60}.avi",), {}, ())
    with pytest.raises(ConfigError, match=r"'\(a\|aa\)\+b', takes more than 0.1 s to be compared with 'aaaa"):
        run(lambda: list_videos(manifest, contents, tmp_path))


def test_paths_are_matched_in_any_thread():
    with ThreadPoolExecutor(1) as pool:
        assert list(pool.submit(match_paths, "a+", ["aa.avi", "b.avi"]).result()) == ["aa.avi"]


MANIFEST_PATHS = {path.stem: load_manifest(path).path for path in packaged_manifests().values()}
PATH_PARTS = st.sampled_from(
    ["train", "v_", "_g07", "_c01", "/", "0001", "_000010", "abcdefghijk", "Brush hair", "é#", "a"]
)


@QUICK
@given(st.sampled_from(sorted(MANIFEST_PATHS)), st.lists(PATH_PARTS, max_size=8).map("".join))
def test_paths_match_as_in_the_standard_library(name, path):
    pattern = MANIFEST_PATHS[name]
    expected = re.compile(pattern, re.DOTALL).fullmatch(path)
    found = match_paths(pattern, [path]).get(path)
    assert (expected and (expected.regs, expected.groupdict())) == (found and (found.regs, found.groupdict()))


def test_a_split_whose_name_cannot_be_part_of_a_file_name_is_refused(tmp_path):
    manifest = parse_manifest({**GOOD, "path": "(?P<split>.+)/[^/]+", "splits": [{"by": "path"}]})
    contents = FolderContents(("../x/a.avi",), {}, ())
    with pytest.raises(DatasetError, match="becomes part of shards' file names"):
        list_videos(manifest, contents, tmp_path)


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_file(tmp_path, data):
    root = tmp_path / "root"
    (root / "run").mkdir(parents=True, exist_ok=True)
    (root / "run" / "a.avi").touch()
    (root / "list.txt").write_bytes(data)
    manifest = parse_manifest({**GOOD, "splits": [{"by": "lists", "files": {"train": "list.txt"}}]})
    listing = find_videos(manifest, root)
    assert [video.path for video in listing.videos] == ["run/a.avi"]
    assert describe(listing).isprintable() or "\n" in describe(listing)


OPTIONS = st.sampled_from([*LabelConfig().as_dict(), "other"])


@QUICK
@given(st.dictionaries(OPTIONS, VALUES, max_size=3))
def test_any_options_are_a_configuration_or_refused(options):
    try:
        config = LabelConfig.from_dict(options)
    except ConfigError as error:
        assert str(error)
    else:
        assert LabelConfig.from_dict(config.as_dict()) == config


@pytest.mark.parametrize("path", ["", "/etc/passwd", "..", "a/../../b", "a\0b", "link/b.avi", "out.avi"])
def test_paths_that_lead_out_of_the_root_are_refused(tmp_path, path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "b.avi").touch()
    (root / "link").symlink_to(tmp_path)
    (root / "out.avi").symlink_to(tmp_path / "b.avi")
    with pytest.raises(DatasetError, match="leads out of"):
        resolve_inside(root, path)


@QUICK
@given(st.text(string.printable, max_size=12))
def test_a_path_is_inside_or_refused(tmp_path, path):
    try:
        assert resolve_inside(tmp_path, path).resolve().is_relative_to(tmp_path.resolve())
    except MasError as error:
        assert "leads out of" in str(error)


def test_the_packaged_manifests_are_valid():
    found = sorted(FOLDER_MANIFEST.parent.glob("*.yaml"))
    assert found
    for path in found:
        assert load_manifest(path).name == yaml.safe_load(path.read_text(encoding="utf-8"))["name"]
