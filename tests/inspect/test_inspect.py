"""Pictures of clips: they show what the labels state, and no texts overlap."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from helpers.videos import FOLDER_MANIFEST, moving_texture, write_video

from mas_labels.config import LabelConfig
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import ConfigError, InputError, MissingDependencyError
from mas_labels.flow.estimators import compute_flow
from mas_labels.inspect import SeenClip, clip_figure, figure_png, save_clip_figure
from mas_labels.inspect.panels import draw_flow, draw_label_values
from mas_labels.inspect.pattern_panels import OCTANT_NAMES, arrow_of, draw_appearance, draw_motion, octant_of
from mas_labels.labels.conventions import AUTHORS, PAPER
from mas_labels.labels.label_counts import LabelCounts
from mas_labels.labels.motion_boundary import motion_boundaries
from mas_labels.pipeline.run import run
from mas_labels.plan.plan import plan_shards
from mas_labels.schema import LABEL_NAMES
from mas_labels.shards.shard_set import ShardSet, open_shards

figures = pytest.importorskip("matplotlib.figure")
Text = pytest.importorskip("matplotlib.text").Text
FRAME = np.full((112, 112, 3), 90, np.uint8)
ONES = dict.fromkeys(LABEL_NAMES, 1)


@pytest.fixture(scope="module")
def shards(tiny_shards: list[Path]) -> ShardSet:
    return open_shards(tiny_shards)


def outlines(axes: object) -> list[tuple[float, ...]]:
    """Return the bounding boxes (left, top, right, bottom) of the thick contours."""
    thick = [lines for lines in axes.collections if lines.get_linewidths()[0] > 2]
    boxes = [lines.get_paths()[0].get_extents() for lines in thick]
    return [tuple(np.round([box.x0, box.y0, box.x1, box.y1], 1).tolist()) for box in boxes]


@pytest.mark.parametrize(
    ("orientation", "up", "right"),
    [
        (1, True, True),
        (2, True, True),
        (3, True, False),
        (4, True, False),
        (5, False, False),
        (8, False, True),
    ],
)
def test_arrows_turn_counter_clockwise_as_in_figure_2(orientation: int, up: bool, right: bool) -> None:
    d_row, d_col = arrow_of(orientation, PAPER)
    assert (d_row < 0, d_col > 0) == (up, right)
    assert np.hypot(d_row, d_col) == pytest.approx(1)


def test_arrows_of_the_authors_turn_clockwise_from_the_bin_edge() -> None:
    np.testing.assert_allclose(arrow_of(1, AUTHORS), (0, 1), atol=1e-12)
    np.testing.assert_allclose(arrow_of(3, AUTHORS), (1, 0), atol=1e-12)


def test_colour_numbers_name_the_octant_of_their_convention() -> None:
    assert [OCTANT_NAMES[octant_of(number, PAPER)] for number in (1, 2, 5, 8)] == [
        "black",
        "blue",
        "red",
        "white",
    ]
    # the authors': 1 B only, 4 all, 5 none, 6 G only, 7 R only, 8 R and G
    assert [OCTANT_NAMES[octant_of(number, AUTHORS)] for number in (1, 4, 5, 6, 7, 8)] == [
        "blue",
        "white",
        "black",
        "green",
        "red",
        "yellow",
    ]


def test_the_labelled_blocks_are_outlined() -> None:
    axes = figures.Figure().add_subplot()
    draw_motion(axes, FRAME, "grid", {**ONES, "grid_ul": 6, "grid_vl": 16}, PAPER)
    assert outlines(axes) == [(27.5, 27.5, 55.5, 55.5), (83.5, 83.5, 111.5, 111.5)]
    axes = figures.Figure().add_subplot()
    draw_appearance(axes, FRAME, "rings", {**ONES, "rings_pd": 4, "rings_ps": 1}, PAPER)
    assert outlines(axes)[1] == (41.5, 41.5, 69.5, 69.5)


def test_a_motionless_grid_of_the_authors_has_no_outline() -> None:
    axes = figures.Figure().add_subplot()
    still = {**ONES, "grid_ul": 0, "grid_uo": 0, "grid_vl": 0, "grid_vo": 0}
    draw_motion(axes, FRAME, "grid", still, AUTHORS)
    assert outlines(axes) == []
    assert [text.get_text() for text in axes.texts] == ["Mu: nothing moves", "Mv: nothing moves"]


@pytest.mark.parametrize("view", [0, 1, -1])
def test_a_picture_shows_the_view_and_its_labels(shards: ShardSet, view: int) -> None:
    clip = shards[2]
    view %= len(clip.views)
    top, left, mirrored = clip.views[view]
    figure = clip_figure(clip, view)
    pictures = [image.get_array() for axes in figure.axes for image in axes.images]
    seen = clip.frames[8, top : top + 112, left : left + 112]
    assert any(np.array_equal(picture, seen[:, ::-1] if mirrored else seen) for picture in pictures)
    assert any(np.array_equal(picture, clip.frames[15]) for picture in pictures)
    for field in clip.motion_boundaries:
        assert any(np.array_equal(picture, np.hypot(field[..., 0], field[..., 1])) for picture in pictures)
    assert figure.texts[0].get_text() == clip.video
    texts = [text.get_text() for text in figure.axes[-1].texts]
    shown = {name: int(texts[texts.index(name) + 1]) for name in LABEL_NAMES}
    assert shown == dict(zip(LABEL_NAMES, clip.view_labels[view].tolist(), strict=True))


def test_no_texts_overlap_or_leave_the_picture(shards: ShardSet) -> None:
    figure = shards[0].show(3).figure
    figure.draw_without_rendering()
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    assert len(boxes) > 60
    for number, (text, box) in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text
        for other, other_box in boxes[number + 1 :]:
            # shrunk by a pixel: boxes may touch
            apart = box.x1 - 1 <= other_box.x0 or other_box.x1 - 1 <= box.x0
            apart = apart or box.y1 - 1 <= other_box.y0 or other_box.y1 - 1 <= box.y0
            assert apart, (text, other)


def test_names_with_dollars_long_names_and_clips_without_boundaries(tmp_path: Path) -> None:
    name = "a $x^$ " + 120 * "long" + ".avi"
    name = name[:200] + ".avi"
    write_video(tmp_path / "videos" / name, moving_texture(16, 120, 160, 2, 0))
    config = LabelConfig(flow="dis", store_boundaries=False, view_stride_pixels=59)
    listing = find_videos(load_manifest(FOLDER_MANIFEST), tmp_path / "videos")
    run(plan_shards(listing, "all", 5), config, tmp_path / "videos", tmp_path / "out", 1)
    figure = clip_figure(open_shards(tmp_path / "out")[0])
    title = figure.texts[0].get_text()
    assert title.startswith("a $x^$ long") and " ... " in title and len(title) < 95
    assert any("|Mu| and |Mv|: computed again" in text.get_text() for text in figure.texts)
    assert figure_png(figure).startswith(b"\x89PNG")


def test_the_flow_panel_shows_colours_arrows_and_its_scale() -> None:
    axes = figures.Figure().add_subplot()
    field = np.zeros((128, 171, 2), np.float32)
    field[:64, :, 0] = 2.0  # the upper half moves to the right
    draw_flow(axes, field, "flow", (8, 29))
    picture = axes.images[0].get_array()
    assert tuple(picture[10, 10]) == (255, 0, 0) and tuple(picture[100, 10]) == (255, 255, 255)
    arrows = axes.collections[0]
    assert arrows.U.max() == pytest.approx(0.9 * 14) and not arrows.V.any()
    assert axes.child_axes[0].texts[0].get_text() == "2 px"
    box = axes.patches[0].get_bbox()
    assert (box.x0, box.y0, box.width, box.height) == (28.5, 7.5, 112, 112)


def test_values_are_written_with_their_shares() -> None:
    counts = LabelCounts()
    labels = np.ones((3, 1, 27), np.uint8)
    labels[0, 0, LABEL_NAMES.index("C")] = 8
    counts.add(labels, Path("x.h5"))
    axes = figures.Figure().add_subplot()
    draw_label_values(axes, {**ONES, "C": 8}, counts)
    texts = [text.get_text() for text in axes.texts]
    assert texts[-3:] == ["C", "8", "33%"] and texts[:3] == ["grid_ul", "1", "100%"]
    draw_label_values(axes := figures.Figure().add_subplot(), ONES)
    assert len(axes.texts) == 2 * 27


def test_recomputed_data_is_named_and_close_to_stored_data(shards: ShardSet) -> None:
    seen = SeenClip(shards[0])
    assert seen.flow_source == "computed again from the stored frames" and seen.boundaries_source == "stored"
    stored, recomputed = seen.boundaries, motion_boundaries(seen.flow)
    for stored_field, recomputed_field in zip(stored, recomputed, strict=True):
        assert np.corrcoef(stored_field.ravel(), recomputed_field.ravel())[0, 1] > 0.8
    assert seen.field_magnitudes.shape == (2, 15)


def test_flow_that_was_read_from_files_is_not_passed_off_as_computed_again(shards: ShardSet) -> None:
    clip = shards[0]
    parts = {"frames": clip.frames, "views": clip.views, "flow": None, "motion_boundaries": None}
    seen = SeenClip(SimpleNamespace(**parts, options={**clip.options, "flow": "stored"}))  # type: ignore[arg-type]
    assert seen.flow_source == seen.boundaries_source
    assert (
        seen.flow_source == "TV-L1 of the stored frames, not the flow that was read from files for the labels"
    )
    np.testing.assert_array_equal(seen.flow, compute_flow(clip.frames))


def test_a_notebook_displays_the_picture(shards: ShardSet, tmp_path: Path) -> None:
    picture = shards[0].show(1, shares=False)
    assert picture._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match="cannot write"):
        picture.save(tmp_path / "nowhere" / "a.png")


def test_pictures_are_written_to_files(shards: ShardSet, tmp_path: Path) -> None:
    save_clip_figure(shards, 1, 3, tmp_path / "a.png")
    save_clip_figure(shards, 1, 3, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture.shape[1] > 1200 and picture.std() > 20
    for clip, view, out, says in (
        (len(shards), 0, "c.png", "expected a clip from 0"),
        (0, len(shards.views), "c.png", "expected a view from 0"),
        (0, 0, "nowhere/c.png", "cannot write"),
        (0, 0, "c.docx", "cannot write"),
    ):
        with pytest.raises(ConfigError, match=says):
            save_clip_figure(shards, clip, view, tmp_path / out)
    with pytest.raises(InputError):
        clip_figure(shards[0], -1)


def test_without_matplotlib_the_error_names_the_extra_to_install(
    shards: ShardSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "mas-video\[inspect\]"'):
        clip_figure(shards[0])
