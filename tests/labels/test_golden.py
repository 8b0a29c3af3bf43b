from __future__ import annotations

import json

from helpers.brute_force import labels_of_view
from helpers.make_golden import GOLDEN, golden_labels

from mas_labels.doctor.self_test import VIEWS, generate_clip


def test_labels_are_those_of_the_golden_file():
    """A difference means that old and new shards are incompatible: increase the version of the schema."""
    assert golden_labels() == json.loads((GOLDEN / "labels.json").read_text())


def test_the_golden_file_equals_brute_force():
    frames, flow = generate_clip()
    for convention, views in json.loads((GOLDEN / "labels.json").read_text()).items():
        for view, labels in zip(VIEWS, views, strict=True):
            assert list(labels.values()) == labels_of_view(frames, flow, *view, convention)
