"""`mas-labels doctor` from end to end, with torch."""

from __future__ import annotations

import subprocess
import sys

from mas_train.runtime.processes import choose_device


def test_the_doctor_finds_what_training_would_use_in_order() -> None:
    """A cuDNN that is known to be broken is a warning about half precision."""
    device = choose_device("auto").type
    command = [sys.executable, "-m", "mas_labels", "doctor"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0 and shown.stderr == "", shown
    torch, gpu, *_, precision = shown.stdout[shown.stdout.index("ok       torch ") :].splitlines()
    assert torch.startswith("ok       torch ") and gpu.startswith("ok       GPU ")
    assert f"3D convolutions on {device} are right in float32" in precision
    assert ("none: no driver" in gpu) == (device != "cuda")
