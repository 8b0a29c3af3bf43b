"""The public names that notebooks and other programs rely on."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import mas_labels
from mas_labels import schema
from mas_labels.geometry import DEFAULT_GEOMETRY

SIGNATURES = {
    "block_maps": f"(geometry={DEFAULT_GEOMETRY})",
    "compute_flow": "(frames, method='tvl1')",
    "compute_labels": f"(frames, flow, views=None, convention='paper', geometry={DEFAULT_GEOMETRY})",
    "motion_boundaries": "(flow, convention='paper')",
    "open_shards": "(paths)",
}


def test_exported_names():
    assert mas_labels.__all__ == ["LABEL_NAMES", *SIGNATURES]
    assert set(mas_labels.__all__) <= set(dir(mas_labels))


@pytest.mark.parametrize(("name", "signature"), SIGNATURES.items())
def test_signatures_are_typed_and_documented(name, signature):
    function = getattr(mas_labels, name)
    signature_found = inspect.signature(function)
    untyped = signature_found.replace(
        parameters=[p.replace(annotation=p.empty) for p in signature_found.parameters.values()],
        return_annotation=inspect.Signature.empty,
    )
    assert str(untyped) == signature
    assert signature_found.return_annotation is not signature_found.empty
    assert all(p.annotation is not p.empty for p in signature_found.parameters.values())
    assert "Returns" in function.__doc__


def test_label_names_follow_the_table():
    assert len(mas_labels.LABEL_NAMES) == len(set(mas_labels.LABEL_NAMES)) == 27
    assert mas_labels.LABEL_NAMES[:4] == ("grid_ul", "grid_uo", "grid_vl", "grid_vo")
    assert mas_labels.LABEL_NAMES[12:18] == ("ui", "vi", "grid_pd", "grid_cd", "grid_ps", "grid_cs")
    assert mas_labels.LABEL_NAMES[26] == "C"
    largest = dict(zip(schema.LABEL_NAMES, DEFAULT_GEOMETRY.label_max, strict=True))
    for name, expected in {
        "grid_ul": 16,
        "rings_vl": 4,
        "triangles_ps": 8,
        "grid_uo": 8,
        "ui": 15,
        "C": 8,
    }.items():
        assert largest[name] == expected


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'labels_of'"):
        _ = mas_labels.labels_of


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, mas_labels; print(sorted({'cv2', 'h5py', 'numpy', 'torch'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
