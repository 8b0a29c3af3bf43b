"""The lines of `mas-labels doctor` on torch, as far as a CPU shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mas_train.runtime import device_report

CPU = torch.device("cpu")
DRIVERS = {
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 2023\n": "535.104.05",
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86  Release Build  (a@b)\n": "570.86",
    "": "of unknown version",
}


@pytest.mark.parametrize("text", DRIVERS)
def test_a_driver_without_a_device_is_a_warning_with_the_reason(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(device_report.CHOSEN_VARIABLE, raising=False)
    (tmp_path / "version").write_text(text)
    assert device_report.read_driver(tmp_path / "version") == DRIVERS[text]
    if not torch.cuda.is_available():
        ((verdict, name, found),) = device_report.find_gpus(tmp_path / "version")
        assert (verdict, name) == ("warning", "GPU")
        assert found.startswith(f"not used, though there is driver {DRIVERS[text]} (torch ")
        assert found.endswith(": install the torch for this driver (pytorch.org)")


def test_devices_that_a_variable_hides_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "version").write_text(next(iter(DRIVERS)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(torch.version, "cuda", "12.8")  # as if built for it
    if not torch.cuda.is_available():
        ((verdict, _, found),) = device_report.find_gpus(tmp_path / "version")
        assert verdict == "warning"
        assert ": unset CUDA_VISIBLE_DEVICES, which is '', or install the torch for this driver" in found


def test_without_a_driver_the_cpu_is_in_order(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        ((verdict, _, found),) = device_report.find_gpus(tmp_path / "none")
        assert verdict == "ok" and found.startswith("none: no driver of NVIDIA, torch ")


def test_a_build_for_rocm_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.4")  # as if built for it
    assert device_report.describe_build() == "torch for ROCm 6.4"
    if not torch.cuda.is_available():
        ((verdict, _, found),) = device_report.find_gpus(tmp_path / "none")
        assert verdict == "warning" and found.startswith(
            "not used, since torch for ROCm 6.4 finds no device:"
        )


def test_precisions_that_are_all_wrong_give_no_line_that_says_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_report, "MAX_DIFFERENCE", -1.0)
    names = [(verdict, name) for verdict, name, _ in device_report.find_precisions()]
    assert names == [("warning", "float32"), ("warning", "bf16"), ("warning", "fp16")]


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_convolutions_of_a_cpu_are_right(precision: str) -> None:
    assert device_report.find_problem(precision, CPU) == ""


def test_wrong_and_failing_convolutions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    meta = device_report.find_problem("float32", torch.device("meta"))  # computes no values
    assert meta.startswith("3D convolutions fail on meta (") and meta.endswith(
        ": install another torch (pytorch.org)"
    )
    monkeypatch.setattr(device_report, "MAX_DIFFERENCE", 1e-6)
    wrong = device_report.find_problem("bf16", CPU)
    assert "maps on cpu differ from those in float32 by 0." in wrong
    assert wrong.endswith(" %: leave out --precision")
