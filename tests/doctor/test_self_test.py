"""The stored digests of the self-test are those of every path."""

from __future__ import annotations

import pytest
from helpers.make_golden import golden_digests

from mas_labels.doctor import self_test
from mas_labels.flow.tvl1 import ISA_VARIABLE
from mas_labels.labels.block_sums import BACKEND_VARIABLE
from mas_labels.system.extensions import available_isas


@pytest.mark.parametrize("isa", available_isas("tvl1"))
def test_the_flow_of_every_path_has_the_stored_digest(isa, monkeypatch):
    monkeypatch.setenv(ISA_VARIABLE, isa)
    (found,) = self_test.compare_flow()
    is_best = isa == available_isas("tvl1")[0]
    assert found.verdict == ("ok" if is_best else "warning"), found
    assert f"TV-L1 by {isa} gives the stored bits" in found.text
    assert is_best != found.text.endswith(f"unset {ISA_VARIABLE}")


@pytest.mark.parametrize(("backend", "verdict"), [("", "ok"), ("numpy", "warning")])
def test_the_labels_of_every_backend_have_the_stored_digest(backend, verdict, monkeypatch):
    monkeypatch.setenv(BACKEND_VARIABLE, backend)
    (found,) = self_test.compare_labels()
    assert found.verdict == verdict, found


def test_make_golden_writes_these_digests():
    assert golden_digests() == {name: getattr(self_test, name) for name in ("FLOW_DIGEST", "LABELS_DIGEST")}


@pytest.mark.parametrize("name", ["flow", "labels"])
def test_other_bits_are_an_error(name, monkeypatch):
    monkeypatch.setattr(self_test, f"{name.upper()}_DIGEST", "0" * 16)
    (found,) = getattr(self_test, f"compare_{name}")()
    assert found.verdict == "error" and "build the extensions again" in found.text
