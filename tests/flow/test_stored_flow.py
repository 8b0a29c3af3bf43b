"""Flow that exists already is found in the layouts of the programs that write it, and read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from helpers.frames import write_frames
from helpers.stored_flow import VIDEO, smooth_flow, through_grey, write_array, write_pictures
from helpers.videos import moving_texture

from mas_labels.errors import ConfigError, VideoError
from mas_labels.flow.flow_layouts import find_flow
from mas_labels.flow.formats import FORMATS
from mas_labels.flow.options import FlowOptions
from mas_labels.flow.output import FlowOutput
from mas_labels.flow.places import flow_targets
from mas_labels.flow.stored_flow import open_flow, resize_flow
from mas_labels.flow.stored_folder import find_bound
from mas_labels.flow.video_flow import flow_parts, video_flow
from mas_labels.video.open_video import open_video
from mas_labels.video.reader import MACHINE_CODES

PICTURES = [
    ("sport/run/flow_x_{:05d}.png", "sport/run/flow_y_{:05d}.png", 0),  # denseflow
    ("sport/run/flow_x_{:05d}.png", "sport/run/flow_y_{:05d}.png", 1),  # TSN, mmaction2, ours
    ("run/x_{:04d}.png", "run/y_{:04d}.png", 1),
    ("u/run/frame{:06d}.png", "v/run/frame{:06d}.png", 1),  # public flow of UCF101 and HMDB51
    ("u/sport/run/frame{:06d}.png", "v/sport/run/frame{:06d}.png", 1),
    ("flow_x/sport/run/{}.png", "flow_y/sport/run/{}.png", 9),
    ("u/RUN/frame{:06d}.png", "v/RUN/frame{:06d}.png", 1),
]
ARRAYS = ["sport/run.npz", "sport/run.h5", "sport/run.npy", "run.npz", "sport/run.avi.npz"]
FLOW = smooth_flow()


def failure(folder, bound=20.0, video=VIDEO):
    with pytest.raises(VideoError) as caught:
        open_flow(folder, video, bound).read(0, 4)
    assert caught.value.stage == "flow"
    return caught.value


@pytest.mark.parametrize(("u_name", "v_name", "first"), PICTURES)
def test_pictures_of_every_layout_are_read(tmp_path, u_name, v_name, first):
    write_pictures(tmp_path, FLOW, u_name, v_name, first)
    flow = open_flow(tmp_path, VIDEO, 20.0)
    assert flow.fields == 4
    np.testing.assert_array_equal(flow.read(1, 3), through_grey(FLOW)[1:3])


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_arrays_are_read(tmp_path, name, dtype):
    write_array(tmp_path / name, FLOW.astype(dtype))
    flow = open_flow(tmp_path, VIDEO, 0.0)
    assert flow.fields == 4
    read = flow.read(1, 3)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, FLOW.astype(dtype)[1:3].astype(np.float32))


def test_a_name_as_long_as_a_file_system_takes(tmp_path):
    assert failure(tmp_path, video=f"{'n' * 251}.avi").code == "no_flow"


def test_frames_next_to_pictures_of_flow_are_not_flow(tmp_path):
    write_pictures(tmp_path, FLOW, "sport/run/flow_x_{}.jpg", "sport/run/flow_y_{}.jpg")
    for number in range(1, 6):
        for prefix in ("img_", "v", "x"):
            cv2.imwrite(str(tmp_path / f"sport/run/{prefix}{number}.jpg"), np.zeros((48, 64, 3), np.uint8))
    flow = open_flow(tmp_path, VIDEO, 20.0)
    assert flow.fields == 4
    assert np.abs(flow.read(0, 4) - FLOW).mean() < 0.15


def test_a_longer_name_comes_first_and_case_last(tmp_path):
    for number, name in enumerate(["sport/run", "run", "Run"]):
        write_array(tmp_path / f"{name}.npy", np.full((1, 2, 2, 2), number, np.float32))
    read = [
        open_flow(tmp_path, video, 0.0).read(0, 1).mean() for video in (VIDEO, "other/run.mp4", "Run.avi")
    ]
    assert read == [0, 1, 2]
    assert failure(tmp_path, 0.0, "RUN.avi").code == "no_flow"  # two files have its name in another case


def test_resizing_scales_the_vectors():
    flow = np.tile(np.float32([2, -1]), (3, 64, 57, 1))
    resized = resize_flow(flow, 128, 171)
    assert resized.shape == (3, 128, 171, 2)
    np.testing.assert_allclose(resized, np.broadcast_to(np.float32([6, -2]), resized.shape), rtol=1e-6)
    assert resize_flow(flow, 64, 57) is flow
    halves = resize_flow(np.float32([0, 4]).repeat(4).reshape(1, 2, 2, 2), 1, 1)  # averages, then halved
    np.testing.assert_array_equal(halves, np.float32([1, 1]).reshape(1, 1, 1, 2))


@pytest.mark.parametrize(("frames", "is_complete", "first"), [(5, True, 0), (3, False, 0), (4, True, 1)])
def test_the_number_of_fields_must_fit_the_frames(tmp_path, frames, is_complete, first):
    write_pictures(tmp_path, FLOW, "sport/run/flow_x_{}.png", "sport/run/flow_y_{}.png")
    flow = open_flow(tmp_path, VIDEO, 20.0)
    fitted = flow.starting_at(
        frames, is_complete, tmp_path / ("sport/run" if first else "videos/sport/run.avi")
    )
    np.testing.assert_array_equal(fitted.read(0, 2), through_grey(FLOW)[first : first + 2])


@pytest.mark.parametrize(("frames", "is_complete"), [(4, True), (6, True), (6, False), (3, True)])
def test_other_numbers_of_fields_are_refused(tmp_path, frames, is_complete):
    write_pictures(tmp_path, FLOW, "sport/run/flow_x_{}.png", "sport/run/flow_y_{}.png")
    flow = open_flow(tmp_path, VIDEO, 20.0)
    with pytest.raises(
        VideoError, match=f"expected {frames - 1} fields .* {frames} frames, found 4"
    ) as caught:
        flow.starting_at(frames, is_complete, tmp_path / "videos/sport/run.avi")
    assert (caught.value.stage, caught.value.code) == ("flow", "other_count")


def remove(folder, name):
    (folder / name).unlink()


def cut(folder, name):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])


def shrink(folder, name):
    cv2.imwrite(str(folder / name), np.zeros((8, 8), np.uint8))


def state_bound(folder, text):
    (folder / "sport/run/bound.txt").write_text(text)


@pytest.mark.parametrize(
    ("harm", "argument", "code"),
    [
        (remove, "sport/run/flow_y_2.jpg", "flow_missing"),
        (remove, "sport/run/flow_x_4.jpg", "flow_missing"),
        (cut, "sport/run/flow_x_3.jpg", "broken_flow"),
        (shrink, "sport/run/flow_x_3.jpg", "broken_flow"),
        (state_bound, "15", "other_bound"),
        (state_bound, "wide", "broken_flow"),
        (state_bound, "-20", "broken_flow"),
    ],
)
def test_pictures_that_cannot_be_used_are_failures(tmp_path, harm, argument, code):
    write_pictures(tmp_path, FLOW, "sport/run/flow_x_{}.jpg", "sport/run/flow_y_{}.jpg")
    state_bound(tmp_path, "20\n")
    assert open_flow(tmp_path, VIDEO, 20.0).read(0, 4).shape == FLOW.shape
    harm(tmp_path, argument)
    assert failure(tmp_path).code == code


def test_numbers_and_pictures_are_not_mixed(tmp_path):
    write_array(tmp_path / "run.npy", FLOW)
    assert failure(tmp_path, 20.0).code == "other_bound"
    write_pictures(tmp_path, FLOW, "u/a/{}.png", "v/a/{}.png")
    assert failure(tmp_path, 0.0, "a.avi").code == "other_bound"


@pytest.mark.parametrize("kind", ["npz", "h5", "npy"])
def test_arrays_that_cannot_be_used_are_failures(tmp_path, kind):
    path = tmp_path / f"run.{kind}"
    for wrong in (FLOW[..., :1], FLOW[0], FLOW.astype(np.int16)):
        write_array(path, wrong)
        assert failure(tmp_path, 0.0).code == "broken_flow"
    write_array(path, FLOW)
    cut(tmp_path, path.name)
    assert failure(tmp_path, 0.0).code == "broken_flow"
    path.write_bytes(b"no flow")
    assert failure(tmp_path, 0.0).code == "broken_flow"
    path.unlink()
    assert failure(tmp_path, 0.0).code == "no_flow"
    path.symlink_to("/proc/self/mem")  # reading it fails as a broken disk does
    assert failure(tmp_path, 0.0).code in MACHINE_CODES


def test_a_picture_that_the_machine_cannot_read_is_not_called_damaged(tmp_path):
    write_pictures(tmp_path, FLOW, "u/run/{}.png", "v/run/{}.png")
    (tmp_path / "v/run/2.png").unlink()
    (tmp_path / "v/run/2.png").symlink_to("/proc/self/mem")
    assert failure(tmp_path).code in MACHINE_CODES


def test_flow_of_another_step_is_refused(tmp_path):
    write_array(tmp_path / "a.npz", FLOW, step=2)
    write_array(tmp_path / "b.h5", FLOW, step=-1)
    write_array(tmp_path / "d.npz", FLOW, step=[1, 1])
    assert failure(tmp_path, 0.0, "d.avi").code == "broken_flow"
    write_pictures(tmp_path, FLOW, "c/flow_x_p3_{:05d}.jpg", "c/flow_y_p3_{:05d}.jpg", 0)
    for name, bound, step in [("a", 0, "2"), ("b", 0, "-1"), ("c", 20, "3")]:
        error = failure(tmp_path, float(bound), f"{name}.avi")
        assert error.code == "other_step" and f"of step {step}:" in error.message
        with pytest.raises(ConfigError, match="between consecutive frames"):
            find_bound(tmp_path, [f"{name}.avi"])


def test_the_record_of_the_flow_command_states_bound_and_step(tmp_path):
    write_pictures(tmp_path, smooth_flow(), "u/run/frame{:06d}.jpg", "v/run/frame{:06d}.jpg", bound=10.0)
    (tmp_path / "flow.json").write_text('{"bound": 10.0, "step": 1}')
    assert find_bound(tmp_path, [VIDEO]) == find_bound(tmp_path, [VIDEO], 10.0) == 10
    with pytest.raises(ConfigError, match=r"--flow-bound 20: found pictures of bound 10 in .*u/run"):
        find_bound(tmp_path, [VIDEO], 20.0)
    (tmp_path / "flow.json").write_text('{"bound": 10.0, "step": -1}')
    with pytest.raises(ConfigError, match="is of step -1, fps of each video: labels need flow between"):
        find_bound(tmp_path, [VIDEO])
    (tmp_path / "flow.json").write_text('{"bound": 10.0, "step": 1, "fps": "10"}')
    with pytest.raises(ConfigError, match="is of step 1, fps 10: labels need flow between"):
        find_bound(tmp_path, [VIDEO])


def test_the_bound_is_that_of_the_first_flow_that_is_found(tmp_path):
    write_pictures(tmp_path, FLOW, "b/x_{}.png", "b/y_{}.png")
    videos = ["a.avi", "b.avi"]
    assert find_bound(tmp_path, videos) == 20
    assert find_bound(tmp_path, videos, 12.5) == 12.5
    (tmp_path / "b/bound.txt").write_text("15\n")
    assert find_bound(tmp_path, videos) == find_bound(tmp_path, videos, 15.0) == 15
    with pytest.raises(ConfigError, match=r"--flow-bound 20: found pictures of bound 15 in .*: leave it out"):
        find_bound(tmp_path, videos, 20.0)
    write_array(tmp_path / "a.npy", FLOW)
    assert find_bound(tmp_path, videos) == 0
    with pytest.raises(ConfigError, match="--flow-bound 20: found numbers"):
        find_bound(tmp_path, videos, 20.0)


def test_a_folder_that_is_not_there_is_no_failure_of_a_video(tmp_path):
    assert failure(tmp_path / "unmounted").code in MACHINE_CODES
    with pytest.raises(ConfigError, match=r"expected a folder of flow at .*unmounted, found none"):
        find_bound(tmp_path / "unmounted", [VIDEO])


def test_a_folder_without_flow_is_refused(tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"such as sport/run/flow_x_00001.jpg, u/run/frame000001.jpg or sport/run.npz; found none: give",
    ):
        find_bound(tmp_path, [VIDEO, "b.avi"])
    (tmp_path / "b.npz").write_bytes(b"no flow")
    with pytest.raises(ConfigError, match=r"found 'b.avi': 'b.npz' cannot be read"):
        find_bound(tmp_path, [VIDEO, "b.avi"])


def test_flow_without_folders_of_classes_needs_different_names(tmp_path):
    write_array(tmp_path / "run.npy", FLOW)
    with pytest.raises(ConfigError, match=r"would be the flow of 'sport/run.avi' and of 'walk/run.avi'"):
        find_bound(tmp_path, [VIDEO, "walk/run.avi"])
    write_array(tmp_path / "walk/run.npy", FLOW)
    assert find_bound(tmp_path, [VIDEO, "walk/run.avi"]) == 0
    assert find_flow(tmp_path, "walk/run.avi").path == tmp_path / "walk/run.npy"


@pytest.mark.parametrize("name", FORMATS)
def test_the_files_of_the_flow_command_are_read(tmp_path, name):
    videos = ["sport/run.avi", "sport/a.b"]  # a file, and a folder of frames
    options = FlowOptions(format=name, dtype="float32", picture="png", flow="dis")
    frames = write_frames(tmp_path / "frames", moving_texture(5, 48, 64, 2, 1), "img_{:05d}.png")
    for target in flow_targets(tmp_path / "flow", videos, options).values():
        with FlowOutput(target, options) as output:
            for part in flow_parts(open_video(frames), options):
                output.add(part)
            output.publish()
    computed = np.stack(list(video_flow(frames, flow="dis")))
    bound = find_bound(tmp_path / "flow", videos)
    for video in videos:
        flow = open_flow(tmp_path / "flow", video, bound)
        assert flow.fields == 4
        np.testing.assert_array_equal(flow.read(0, 4), through_grey(computed) if bound else computed)
