"""Files of flow, read by the rules of the programs that they are for.

The rules are those of mmaction2 (``parse_directory``, ``RawframeDataset``, ``RawFrameDecode``), of TSN and
TSM (``_load_image``), of denseflow (``writeFlowImages``) and of twostreamfusion (``cnn_ucf101_setup_data.m``,
``cnn_ucf101_get_flow_batch.m``).
"""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.flow_files import fields_of, write_flow
from helpers.videos import moving_texture, write_video

from mas_labels.flow.grey import grey_to_flow
from mas_labels.flow.options import FlowOptions
from mas_labels.flow.places import flow_targets
from mas_labels.video.open_video import open_video

NAME = "Archery/v_Archery_g01_c01.avi"
FRAMES = 7


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    write_video(root / NAME, moving_texture(FRAMES, 48, 64, 3, -2))
    return root


def write(root, out, **more):
    options = FlowOptions(**more)
    write_flow(root / NAME, flow_targets(out, [NAME], options)[NAME], options)
    return out


def count(folder, *patterns):
    names = [path.name for path in folder.iterdir()]
    return [sum(fnmatch(name, pattern) for name in names) for pattern in patterns]


def read_as_mmaction2(out, start_index, template="flow_{}_{:05d}.jpg"):
    """Read all flow of a two-level folder; the number of pictures is counted, as for its list files."""
    (folder,) = out.glob("*/*/")
    flow_x, flow_y = count(folder, "flow_x_*", "flow_y_*")
    assert flow_x == flow_y
    read = [
        [
            cv2.imread(str(folder / template.format(axis, index + start_index)), cv2.IMREAD_GRAYSCALE)
            for axis in "xy"
        ]
        for index in range(flow_x)
    ]
    return folder, np.moveaxis(np.array(read), 1, -1)


def assert_is_flow(grey, flow, tolerance, bound=20.0):
    assert grey.dtype == np.uint8
    distance = np.abs(grey_to_flow(grey, bound) - np.clip(flow, -bound, bound))
    assert distance.mean() < tolerance


@pytest.mark.parametrize(("name", "start_index"), [("tsn", 1), ("denseflow", 0)])
def test_mmaction2_reads_flow_and_frames(root, tmp_path, name, start_index):
    folder, grey = read_as_mmaction2(write(root, tmp_path, format=name, frames=True), start_index)
    assert folder == tmp_path / "Archery/v_Archery_g01_c01"
    assert_is_flow(grey, fields_of(root / NAME), 0.06)
    assert count(folder, "img_*", "*") == [FRAMES, FRAMES + 2 * (FRAMES - 1) + 1]
    for index, frame in enumerate(open_video(root / NAME)):
        picture = cv2.imread(str(folder / f"img_{index + start_index:05}.jpg"), cv2.IMREAD_COLOR)
        grey_pair = [cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY).astype(int) for bgr in (picture, frame)]
        assert np.abs(np.subtract(*grey_pair)).mean() < 1


def test_tsn_and_tsm_read_the_default(root, tmp_path):
    folder = write(root, tmp_path) / "Archery/v_Archery_g01_c01"
    for index, field in enumerate(fields_of(root / NAME), 1):
        paths = [folder / f"flow_{axis}_{index:05d}.jpg" for axis in "xy"]
        pictures = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths]
        assert_is_flow(np.stack(pictures, axis=-1), field, 0.06)
    assert (folder / "bound.txt").read_text() == "20\n"


@pytest.mark.parametrize(("step", "mark", "first"), [(2, "p2_", 0), (-3, "m3_", 3)])
def test_denseflow_names_the_step(root, tmp_path, step, mark, first):
    out = write(root, tmp_path, format="denseflow", step=step, picture="png")
    _, grey = read_as_mmaction2(out, first, f"flow_{{}}_{mark}{{:05d}}.png")
    assert len(grey) == FRAMES - abs(step)
    assert np.abs(grey_to_flow(grey) - fields_of(root / NAME, step=step)).max() <= 20 / 255 + 1e-5


def test_denseflow_would_write_the_same_grey_values(root, tmp_path):
    _, grey = read_as_mmaction2(
        write(root, tmp_path, format="denseflow", picture="png", bound=4.0), 0, "flow_{}_{:05d}.png"
    )
    flow = fields_of(root / NAME).astype(
        np.float64
    )  # its macro: 0 below, 255 above, else rounded, halves to even
    expected = np.where(flow > 4, 255, np.where(flow < -4, 0, np.rint(255 * (flow + 4) / 8)))
    assert (grey != expected).mean() < 1e-4  # it computes in double precision
    assert np.abs(grey - expected).max() <= 1


def test_twostreamfusion_reads_u_and_v(root, tmp_path):
    out = write(root, tmp_path, format="uv", frames=True, short_side=256, flow="dis")
    video = Path(NAME).stem
    assert sorted(path.name for path in out.iterdir()) == ["jpegs_256", "u", "v"]
    (n_frames,) = count(out / "u" / video, "*.jpg")
    assert n_frames == FRAMES - 1
    for index, field in enumerate(fields_of(root / NAME, short_side=256, flow="dis"), 1):
        read = [cv2.imread(str(out / axis / video / f"frame{index:06d}.jpg"), -1) for axis in "uv"]
        assert_is_flow(np.stack(read, axis=-1), field, 0.06)
        frame = cv2.imread(str(out / "jpegs_256" / video / f"frame{index:06d}.jpg"))
        assert frame.shape == (256, 341, 3)


@pytest.mark.parametrize(("name", "step"), [("npz", 1), ("tsn", 1), ("denseflow", 2), ("denseflow", -1)])
def test_the_frames_written_are_a_video_again(root, tmp_path, name, step):
    out = write(root, tmp_path, format=name, step=step, frames=True, picture="png", flow="dis")
    frames = list(open_video(out / "Archery/v_Archery_g01_c01"))
    np.testing.assert_array_equal(frames, list(open_video(root / NAME)))
