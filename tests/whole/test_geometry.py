"""Geometry: numbers computed by hand, refused sizes, and how a labelling configuration holds one."""

from __future__ import annotations

import pytest

from mas_labels.config import LabelConfig
from mas_labels.errors import ConfigError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry


def test_the_default_is_that_of_the_paper() -> None:
    assert (DEFAULT_GEOMETRY.fields, DEFAULT_GEOMETRY.extent) == (15, 16)
    assert DEFAULT_GEOMETRY.blocks == {"grid": 16, "rings": 4, "triangles": 8}
    motion = (16, 8, 16, 8, 4, 8, 4, 8, 8, 8, 8, 8, 15, 15)
    assert DEFAULT_GEOMETRY.label_max == (*motion, 16, 8, 16, 8, 4, 8, 4, 8, 8, 8, 8, 8, 8)
    assert DEFAULT_GEOMETRY.label_min("paper") == (1,) * 27
    assert DEFAULT_GEOMETRY.label_min("authors") == (0,) * 4 + (1,) * 23


def test_other_numbers_follow_from_the_sizes() -> None:
    geometry = Geometry(32, 2, 256, 342, view_size=224, grid_block=32, ring_width=28)
    assert (geometry.fields, geometry.extent) == (31, 63)
    assert geometry.blocks == {"grid": 49, "rings": 4, "triangles": 8}
    assert geometry.label_max[:2] == (49, 8)
    assert geometry.label_max[12:14] == (31, 31)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_frames": 1}, "clip_frames: expected 2 to 256, found 1"),
        ({"clip_frames": 257}, "clip_frames: expected 2 to 256, found 257"),
        ({"frame_step": 0}, "frame_step: expected 1 to 1000, found 0"),
        (
            {"frame_rows": 100},
            "view_size: expected at most the frames' 100 x 171 pixels, found 112: take larger",
        ),
        (
            {"view_size": 99, "grid_block": 33},
            "view_size: expected an even number .* found 99: take 98 or 100",
        ),
        (
            {"grid_block": 30},
            "grid_block: expected .* the view, 112 pixels, .*: 8, 14, 16, 28, 56, 112, found 30",
        ),
        ({"grid_block": 7}, "into at most 255 blocks: 8, 14, 16, 28, 56, 112, found 7"),
        (
            {"ring_width": 15},
            "ring_width: .* half of the view, 56 pixels, .*: 1, 2, 4, 7, 8, 14, 28, 56, found 15",
        ),
        ({"view_size": 114, "ring_width": 57}, "grid_block: .*: 19, 38, 57, 114, found 28"),
    ],
)
def test_a_size_that_does_not_fit_is_refused_with_those_that_do(
    options: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Geometry(**options)


def test_a_configuration_resolves_blocks_and_stride() -> None:
    config = LabelConfig(view_size=224, frame_rows=256, frame_cols=342, clip_frames=32, frame_step=2)
    assert config.geometry == Geometry(32, 2, 256, 342, 224, 56, 28)
    assert config.clip_stride_frames == 63
    assert LabelConfig.from_dict(config.as_dict()) == config
    with pytest.raises(ConfigError, match=r"grid_block: .* 100 pixels, .*: 10, 20, 25, 50, 100, found 24"):
        LabelConfig(view_size=100, grid_block=24)
    with pytest.raises(ConfigError, match=r"ring_width: .* 50 pixels, .*: 1, 2, 5, 10, 25, 50, found 12\.5"):
        LabelConfig(view_size=100)
    with pytest.raises(ConfigError, match=r"ring_width: .* half of the view, 10 pixels, .*, found 2\.5"):
        LabelConfig(view_size=20)
    with pytest.raises(ConfigError, match=r"at least 16 pixels each, .* found 16 x 15"):
        LabelConfig(frame_rows=16, frame_cols=15, view_size=8)
    assert LabelConfig(frame_rows=8, frame_cols=8, view_size=8, frames_only=True, store_boundaries=False)


def test_a_configuration_stores_only_what_differs_from_the_default() -> None:
    assert set(LabelConfig().as_dict()) & set(Geometry.__dataclass_fields__) == set()
    assert LabelConfig().as_dict()["clip_stride_frames"] == 16
    changed = LabelConfig(view_size=96, grid_block=24, ring_width=8)
    stored = {name: changed.as_dict()[name] for name in ("view_size", "ring_width")}
    assert stored == {"view_size": 96, "ring_width": 8}
    assert "grid_block" not in changed.as_dict()
    odd = LabelConfig(view_size=20, ring_width=2)  # not an eighth of the view
    for config in (changed, odd):
        assert LabelConfig.from_dict(config.as_dict()) == config


def test_a_stride_of_views_beyond_the_largest_offset_is_refused() -> None:
    assert LabelConfig(frame_rows=112, frame_cols=112).view_stride_pixels == 8
    with pytest.raises(ConfigError, match=r"expected 1 to 118, .* 256 x 342, found 119"):
        LabelConfig(frame_rows=256, frame_cols=342, view_size=224, view_stride_pixels=119)


def test_a_table_of_too_many_views_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"at most 65,536 crops, found 1,752,921, of 112 .* take a larger"):
        LabelConfig(frame_rows=1080, frame_cols=1920, view_stride_pixels=1)
