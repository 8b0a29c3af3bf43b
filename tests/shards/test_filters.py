"""Filters of clips as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from mas_labels.errors import ConfigError
from mas_labels.shards import open_shards, parse_filters


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("", {}),
        ("min_motion=0.02, class_name=Archery", {"min_motion": 0.02, "class_name": "Archery"}),
        ("class_name=a,class_name=b*,max_motion=2", {"class_name": ["a", "b*"], "max_motion": 2.0}),
        ("grid_ul=6,C=1,C=8,view=3,cut=false", {"grid_ul": 6, "C": [1, 8], "view": 3, "cut": False}),
        ('"class_name=Clean, then jerk",view=1', {"class_name": "Clean, then jerk", "view": 1}),
        ('"video=say ""a=b"", twice"', {"video": 'say "a=b", twice'}),
        ("video=x=y/#[é] .avi", {"video": "x=y/#[é] .avi"}),
    ],
)
def test_filters_have_the_types_of_where(text: str, filters: dict[str, object]) -> None:
    assert parse_filters(text) == filters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed=1", "expected name=value, with a name of video, class_name, .*, C, found 'speed=1'"),
        ("min_motion", "expected name=value, .*, found 'min_motion'"),
        ("labels=1", "expected name=value, .*, found 'labels=1'"),
        ("min_motion=fast", "min_motion: expected a number, found 'fast'"),
        ("grid_ul=1.5", "grid_ul: expected a whole number, found '1.5'"),
        ("view=1,view=2", "expected one view, found 2: leave the others out"),
        ("min_motion=nan", "min_motion: expected a number, found 'nan'"),
        ('"class_name=a', "terms that hold commas in double quotes: unexpected end of data"),
        ("C=1\ncut=true", "expected one line of name=value,name=value"),
    ],
)
def test_invalid_filters_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_filters(text)
    assert "\n" not in str(caught.value)


def test_one_of_several_names_must_match(tiny_shards: list[Path]) -> None:
    shards = open_shards(tiny_shards)
    videos = shards.where(**parse_filters("video=pan/right.avi,video=zoom*/a b.avi"))
    assert {clip.video for clip in videos} == {"pan/right.avi", "zoom out/a b.avi"}
    assert shards.where(class_name=["pan", "zoom*"]).indices.tolist() == list(range(12))
    assert len(shards.where(class_name=[])) == 0
