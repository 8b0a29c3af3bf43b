"""Files of flow: their content, always the same bytes, whole or not there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.flow_files import fields_of, tree, write_flow
from helpers.videos import moving_texture, write_video

from mas_labels.errors import ConfigError, OptionsDifferError, StorageError
from mas_labels.flow import video_flow
from mas_labels.flow.options import FlowOptions
from mas_labels.flow.output import FlowOutput, frame_pairs, locked_target
from mas_labels.flow.places import check_folder, claim_folder, flow_target, flow_targets, single_target
from mas_labels.flow.video_flow import flow_parts
from mas_labels.system import files
from mas_labels.video.open_video import open_video

TESTS = Path(__file__).parents[1]
EVERY_FORMAT = [
    {"format": "tsn", "frames": True},
    {"format": "denseflow", "picture": "png", "step": -2},
    {"format": "uv", "frames": True},
    {"format": "npz"},
    {"format": "h5", "frames": True, "dtype": "float32"},
]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("videos") / "a.avi", moving_texture(9, 32, 48, 1, 0), fps=12.5)


def dis(**options):
    return FlowOptions(flow="dis", **options)


@pytest.mark.parametrize("step", [1, -2])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0), ("float16", 0.001)])
def test_npz_and_h5_hold_the_flow_and_what_it_is(video, tmp_path, dtype, tolerance, step):
    for name in ("npz", "h5"):
        options = dis(format=name, dtype=dtype, step=step)
        write_flow(video, single_target(tmp_path / f"a.{name}", options), options)
    with np.load(tmp_path / "a.npz") as npz, h5py.File(tmp_path / "a.h5") as h5:
        stored = [(npz, npz), (h5, h5["flow"].attrs)]
        for data, facts in stored:
            assert data["flow"].dtype == dtype
            flow = fields_of(video, flow="dis", step=step)
            np.testing.assert_allclose(np.float32(data["flow"]), flow, atol=tolerance, rtol=0)
            expected = [(k, k + 1) for k in range(8)] if step == 1 else [(k + 2, k) for k in range(7)]
            np.testing.assert_array_equal(data["pairs"], expected)
            assert (facts["step"], facts["fps"]) == (step, 12.5)
            assert json.loads(str(facts["options"]))["dtype"] == dtype


@pytest.mark.parametrize("options", EVERY_FORMAT, ids=lambda options: options["format"])
def test_the_same_video_gives_the_same_bytes(video, tmp_path, options, monkeypatch):
    options = dis(**options)
    for folder, pixels in (("one", 1 << 22), ("again", 1 << 22), ("parts", 1)):
        monkeypatch.setattr(video_flow, "PIXELS_PER_PART", pixels)
        write_flow(video, flow_target(tmp_path / folder, "class/a", options), options)
    one, again, parts = (tree(tmp_path / folder) for folder in ("one", "again", "parts"))
    assert one == again != {}
    if options.format == "h5":  # HDF5 puts the chunks of several calls elsewhere
        del one["class/a.h5"], parts["class/a.h5"]
    assert one == parts


@pytest.mark.parametrize("options", EVERY_FORMAT, ids=lambda options: options["format"])
def test_what_is_not_published_leaves_nothing(video, tmp_path, options):
    options = dis(**options)
    target = flow_target(tmp_path, "a", options)
    with pytest.raises(RuntimeError, match="stop"), FlowOutput(target, options) as output:
        output.add(next(flow_parts(open_video(video), options)))
        raise RuntimeError("stop")
    assert not tree(tmp_path)
    assert not target.is_complete()
    write_flow(video, target, options)
    assert target.is_complete()
    with pytest.raises(ConfigError, match="exists already"), FlowOutput(target, options):
        pass
    assert target.is_complete()


@pytest.mark.parametrize("options", EVERY_FORMAT, ids=lambda options: options["format"])
def test_completing_a_video_can_be_stopped(video, tmp_path, options):
    def stop():
        raise KeyboardInterrupt

    options = dis(**options)
    target = flow_target(tmp_path, "a", options)
    with pytest.raises(KeyboardInterrupt), FlowOutput(target, options) as output:
        for part in flow_parts(open_video(video), options):
            output.add(part)
        output.publish(stop)
    assert not target.is_complete()
    assert not tree(tmp_path)


@pytest.mark.parametrize("options", [{"format": "uv"}, {"format": "h5", "frames": True}], ids=["uv", "h5"])
def test_what_others_put_in_a_place_is_never_removed(video, tmp_path, options):
    options = dis(**options)
    target = flow_target(tmp_path, "a", options)
    other = target.places[0] / "photo.jpg"
    other.parent.mkdir(parents=True)
    other.touch()
    with pytest.raises(ConfigError, match=re.escape(f"{other.parent} exists already")):
        write_flow(video, target, options)
    assert list(tree(tmp_path)) == [str(other.relative_to(tmp_path))]


def test_a_video_that_cannot_be_published_whole_leaves_nothing(video, tmp_path):
    options = dis(format="uv", frames=True)
    target = flow_target(tmp_path, "a", options)
    with pytest.raises(StorageError), FlowOutput(target, options) as output:
        for part in flow_parts(open_video(video), options):
            output.add(part)
        target.v.mkdir()  # meanwhile, by someone else
        (target.v / "photo.jpg").touch()
        output.publish()
    assert list(tree(tmp_path)) == ["v/a/photo.jpg"]


def test_one_video_is_written_by_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "WAIT_SECONDS", 0)
    one, other = (flow_target(tmp_path, name, dis()) for name in "ab")
    with locked_target(one), locked_target(other), pytest.raises(ConfigError, match="another run is writing"):
        locked_target(one).__enter__()
    with locked_target(one):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
from helpers.flow_files import write_flow
from mas_labels.flow.options import FlowOptions
from mas_labels.flow.places import flow_target

renames, rename = int(sys.argv[3]), Path.rename
def rename_or_die(self, target):
    global renames
    if renames == 0:
        os.kill(os.getpid(), 9)
    renames -= 1
    return rename(self, target)
Path.rename = rename_or_die
options = FlowOptions(flow="dis", format="uv", frames=True)
write_flow(Path(sys.argv[1]), flow_target(Path(sys.argv[2]), "a", options), options)
"""


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_kill_between_two_renames_is_repaired(video, tmp_path, renames):
    options = dis(format="uv", frames=True)
    expected = flow_target(tmp_path / "whole", "a", options)
    write_flow(video, expected, options)
    target = flow_target(tmp_path / "killed", "a", options)
    command = [sys.executable, "-c", KILLED, video, tmp_path / "killed", str(renames)]
    assert subprocess.run(command, cwd=TESTS, check=False).returncode == -9
    assert [place.exists() for place in target.places] == [index < renames for index in range(3)]
    for place, whole in zip(target.places[:renames], expected.places, strict=False):
        assert tree(place) == tree(whole)
    assert not target.is_complete()
    write_flow(video, target, options)
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


FULL_DISK = """
import resource, sys
from pathlib import Path
from helpers.flow_files import write_flow
from mas_labels.errors import StorageError
from mas_labels.flow.options import FlowOptions
from mas_labels.flow.places import flow_target

resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
for name in ("tsn", "uv", "npz", "h5"):
    options = FlowOptions(flow="dis", format=name)
    try:
        write_flow(Path(sys.argv[1]), flow_target(Path(sys.argv[2]), "a", options), options)
    except StorageError as error:
        print(error)
"""


def test_a_full_disk_is_one_line_and_leaves_nothing(video, tmp_path):
    command = [sys.executable, "-c", FULL_DISK, video, tmp_path]
    done = subprocess.run(command, cwd=TESTS, check=False, capture_output=True, text=True)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert all("Finished videos are kept: make room, or choose another --out" in line for line in lines)
    assert not tree(tmp_path)


def test_a_file_or_folder_is_named_by_its_format(tmp_path):
    assert single_target(tmp_path / "a.npz", dis(format="npz")).places == (tmp_path / "a.npz",)
    assert single_target(tmp_path / "a", dis()).places == (tmp_path / "a",)
    for name, layout, expected in (
        ("a.flo", "tsn", "a folder, which has no extension, for the format tsn"),
        ("a", "uv", "a folder"),
        ("a.h5", "npz", r"a name ending in \.npz for the format npz"),
    ):
        with pytest.raises(ConfigError, match=f"expected {expected}"):
            single_target(tmp_path / name, dis(format=layout))


def test_places_keep_class_folders(tmp_path):
    videos = ["run/a.b.avi", "run/c.zip", "walk/d"]
    for options, expected in (
        ({}, [["run/a.b"], ["run/c"], ["walk/d"]]),
        ({"format": "npz", "frames": True}, [["run/a.b", "run/a.b.npz"], ["run/c", "run/c.npz"],
                                             ["walk/d", "walk/d.npz"]]),
        ({"format": "uv"}, [["u/a.b", "v/a.b"], ["u/c", "v/c"], ["u/d", "v/d"]]),
    ):  # fmt: skip
        targets = flow_targets(tmp_path, videos, dis(**options))
        found = [[str(place.relative_to(tmp_path)) for place in target.places] for target in targets.values()]
        assert (list(targets), found) == (videos, expected)


@pytest.mark.parametrize(
    ("videos", "options"),
    [
        (["a.avi", "a.mp4"], {"format": "npz"}),
        (["a.avi", "a/b.avi"], {}),
        (["run/a.avi", "walk/a.avi"], {"format": "uv"}),
    ],
)
def test_two_videos_in_one_place_are_refused(tmp_path, videos, options):
    with pytest.raises(ConfigError, match=rf"{videos[0]} and {videos[1]}: the flow of both would be in"):
        flow_targets(tmp_path, videos, dis(**options))


def write_record_of(out, version):
    """Let the record in a folder of flow state another version of this program."""
    record = json.loads((out / "flow.json").read_text())
    (out / "flow.json").write_text(json.dumps({**record, "mas_labels": version}))


def test_a_folder_has_one_set_of_options(tmp_path, monkeypatch):
    out = tmp_path / "new/out"
    targets = flow_targets(out, ["a.avi"], dis())
    claim_folder(out, targets, dis(size=(64, 80)))
    claim_folder(out, targets, dis(size=(64, 80)))
    assert [path.name for path in out.iterdir()] == ["flow.json"]
    with pytest.raises(
        OptionsDifferError, match=r"other options \(bound 20.0, not 16.0; size \[64, 80\], not"
    ):
        claim_folder(out, targets, dis(bound=16.0))
    with monkeypatch.context() as patch, pytest.raises(OptionsDifferError, match=r"opencv .*, not '1'"):
        patch.setattr("cv2.__version__", "1")
        claim_folder(out, targets, dis(size=(64, 80)))
    write_record_of(out, "0.1.0")
    assert check_folder(out, targets, dis(size=(64, 80)))
    write_record_of(out, "0.0.1")
    with pytest.raises(OptionsDifferError, match=r"other options \(mas_labels '0.0.1', not"):
        check_folder(out, targets, dis(size=(64, 80)))
    (out / "flow.json").write_text("nothing")
    with pytest.raises(ConfigError, match="expected the options of a run as JSON"):
        claim_folder(out, targets, dis())
    (out / "flow.json").unlink()
    (out / "a").mkdir()
    with pytest.raises(ConfigError, match="out/a exists already, but not"):
        claim_folder(out, targets, dis())


def test_names_that_differ_by_case_alone_are_refused_where_case_is_ignored(tmp_path):
    """A second record, in capitals, is what such a file system shows."""
    targets = flow_targets(tmp_path, ["pan/a.avi", "pan/A.avi"], dis())
    claim_folder(tmp_path, targets, dis())
    (tmp_path / "FLOW.JSON").touch()
    with pytest.raises(ConfigError, match=r"pan/a\.avi and pan/A\.avi: the flow of both would be in"):
        claim_folder(tmp_path, targets, dis())


def test_pairs_by_hand():
    assert frame_pairs(3, 2).tolist() == [[0, 2], [1, 3], [2, 4]]
    assert frame_pairs(2, -1).tolist() == [[1, 0], [2, 1]]
