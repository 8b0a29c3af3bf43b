"""Reports what torch can do on this machine; `mas-labels doctor` starts it as a process.

It prints a JSON list of lines: each a verdict, ``"ok"`` or
``"warning"``, a name, and a text with the remedy.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import torch
from torch.backends import cudnn
from torch.nn import functional

from mas_labels.errors import ConfigError
from mas_train.runtime.performance import HALF_PRECISIONS, MEMORY_FORMATS, autocast, require_precision
from mas_train.runtime.processes import choose_device

Line = tuple[str, str, str]
DRIVER_FILE: Final = Path("/proc/driver/nvidia/version")
CHOSEN_VARIABLE: Final = "CUDA_VISIBLE_DEVICES"
"""Names the GPUs that a process may use; empty, it hides all."""
CHANNELS: Final = 16
SHAPE: Final = (2, CHANNELS, 6, 14, 14)
"""Clips, channels, frames, rows and columns of the maps that are convolved."""
MAX_DIFFERENCE: Final = 0.02
"""Largest difference from float32 on the CPU, relative to its norm: rounding to bf16 makes 0.004."""


def report() -> Iterator[Line]:
    """Yield what is found about torch, its GPUs, and convolutions in each precision."""
    yield "ok", "torch", torch.__version__
    finders: Mapping[str, Callable[[], Iterator[Line]]] = {"GPU": find_gpus, "precision": find_precisions}
    for name, find in finders.items():
        try:
            yield from find()
        except Exception as error:  # whatever a broken driver raises
            yield "warning", name, f"cannot be examined ({_reason(error)})"


def find_gpus(driver_file: Path = DRIVER_FILE) -> Iterator[Line]:
    """Describe the GPUs that torch uses, or say why it uses none.

    Parameters
    ----------
    driver_file
        File in which the driver of NVIDIA states its version.
    """
    driver = read_driver(driver_file)
    built = describe_build()
    if torch.cuda.is_available():
        gpus = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        kinds = Counter(f"{gpu.name} ({gpu.total_memory / 1e9:.3g} GB)" for gpu in gpus)
        names = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
        library = f"{'MIOpen' if torch.version.hip else 'cuDNN'} {cudnn.version()}"
        yield "ok", "GPU", f"{names}, driver {driver or 'unknown'}, {built}, {library}"
    elif torch.version.hip:
        remedy = "check the driver of AMD (rocminfo), or install the torch for this machine (pytorch.org)"
        yield "warning", "GPU", f"not used, since {built} finds no device: {remedy}"
    elif driver is None:
        yield "ok", "GPU", f"none: no driver of NVIDIA, {built}"
    else:
        try:
            torch.cuda.init()
            reason = "torch finds no device"
        except (RuntimeError, AssertionError) as error:
            reason = _reason(error)
        remedy = "install the torch for this driver (pytorch.org)"
        chosen = os.environ.get(CHOSEN_VARIABLE)
        if chosen is not None and torch.version.cuda:
            remedy = f"unset {CHOSEN_VARIABLE}, which is {chosen!r}, or {remedy}"
        yield "warning", "GPU", f"not used, though there is driver {driver} ({built}; {reason}): {remedy}"


def describe_build() -> str:
    """Name what torch was built for: ROCm's calls its devices CUDA's, too."""
    if torch.version.hip:
        return f"torch for ROCm {torch.version.hip}"
    return f"torch for CUDA {torch.version.cuda}" if torch.version.cuda else "torch without CUDA"


def read_driver(path: Path) -> str | None:
    """Return the version that the driver of NVIDIA states in a file; None if there is no such file."""
    try:
        found = re.search(r"\b\d+\.\d+(\.\d+)?\b", path.read_text(encoding="utf-8"))
    except OSError:
        return None
    return found[0] if found else "of unknown version"


def find_precisions() -> Iterator[Line]:
    """Compare 3D convolutions in each precision with those in float32 on the CPU."""
    device, right = choose_device("auto"), []
    for precision in ("float32", *HALF_PRECISIONS):
        problem = find_problem(precision, device)
        if problem:
            yield "warning", precision, problem
        else:
            right.append(precision)
    if right:
        yield "ok", "precision", f"3D convolutions on {device.type} are right in {', '.join(right)}"


def find_problem(precision: str, device: torch.device) -> str:
    """Return what is wrong with 3D convolutions in a precision, and the remedy; empty if nothing is."""
    remedy = (
        "leave out --precision" if precision in HALF_PRECISIONS else "install another torch (pytorch.org)"
    )
    problem = ""
    for memory_format in MEMORY_FORMATS:
        try:
            require_precision(precision, device, memory_format)
            difference = convolution_difference(precision, device, memory_format)
        except ConfigError as error:
            problem = str(error)
            continue
        except RuntimeError as error:
            return f"3D convolutions fail on {device.type} ({_reason(error)}): {remedy}"
        if not difference <= MAX_DIFFERENCE:  # also NaN
            wrong = f"differ from those in float32 by {100 * difference:.2g} %"
            return f"3D convolutions of {memory_format} maps on {device.type} {wrong}: {remedy}"
    return problem


def convolution_difference(precision: str, device: torch.device, memory_format: str) -> float:
    """Return how much a 3D convolution and its gradients differ from float32 on the CPU, relative to it."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(SHAPE, generator=generator)
    kernels = torch.randn((CHANNELS, CHANNELS, 3, 3, 3), generator=generator) / 20
    results = []
    for used, place in (("float32", torch.device("cpu")), (precision, device)):
        maps_there, kernels_there = inputs = [
            part.to(place).contiguous(memory_format=MEMORY_FORMATS[memory_format]).requires_grad_()
            for part in (maps.clone(), kernels.clone())
        ]
        with autocast(used, place):
            outputs = functional.conv3d(maps_there, kernels_there, padding=1)
        gradients = torch.autograd.grad(outputs.float().square().mean(), inputs)
        results.append([part.detach().float().cpu() for part in (outputs, *gradients)])
    expected, found = results
    differences = [(a - b).norm() / a.norm() for a, b in zip(expected, found, strict=True)]
    return torch.stack(differences).max().item()


def _reason(error: Exception) -> str:
    """Return the first line of an error's message, or else its class."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def main() -> None:
    """Print the lines, for the process that started this one."""
    print(json.dumps(list(report())))
