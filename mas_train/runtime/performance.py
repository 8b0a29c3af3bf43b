"""What makes a step faster without another result but for rounding: formats, precision, compilation."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mas_labels.errors import ConfigError, TrainingError
from mas_labels.schema import CLIP_FRAMES, VIEW_SIZE
from mas_labels.system.process import M_MMAP_MAX, M_TOP_PAD, M_TRIM_THRESHOLD, set_malloc_options
from mas_train.runtime.names import MEMORY_FORMAT_NAMES


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """States of this process's global generators, which dropout draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_generator_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Put the generators back; that of another kind of device than the checkpoint's stays as it is."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


HALF_PRECISIONS: Final[Mapping[str, torch.dtype]] = MappingProxyType(
    {"bf16": torch.bfloat16, "fp16": torch.float16}
)
MEMORY_FORMATS: Final[Mapping[str, torch.memory_format]] = MappingProxyType(
    {name: getattr(torch, attribute) for name, attribute in MEMORY_FORMAT_NAMES.items()}
)
TIMED_STEPS: Final = 3
TIMED_CLIPS: Final = 8
"""Steps and clips that a memory format is judged by, after one step that does not count."""


@contextlib.contextmanager
def autocast(precision: str, device: torch.device) -> Iterator[None]:
    """Context in which a forward pass computes in `precision`; weights stay in float32.

    Notes
    -----
    On a CPU, some convolutions stay in float32, too: see `SmallInputsInFloat32`.
    """
    if precision == "float32":
        yield
        return
    guard = SmallInputsInFloat32() if device.type == "cpu" else contextlib.nullcontext()
    with torch.autocast(device.type, HALF_PRECISIONS[precision]), guard:
        yield


class SmallInputsInFloat32(TorchFunctionMode):
    """While entered, 3D convolutions over less than their kernel, in any direction, compute in float32.

    Notes
    -----
    On CPUs with AVX-512, oneDNN 3.12 (that of torch 2.13 and 2.14) returns arbitrary weight gradients for
    such convolutions in bf16, at random and often finite, or writes beyond its memory. Too few frames are
    enough where there is no AMX: C3D's last convolution is one of them (2 frames, 3 deep), and so are the
    last of torchvision's networks. Too few rows or columns, which none of these networks comes to, are enough
    with AMX, too. The rule asks for shapes alone, so that a resumed run, and processes on different machines,
    compute alike.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call `func`, in float32 if it is such a convolution."""
        if func is not torch.conv3d or not _is_small(args[0], args[1]):
            return func(*args, **(kwargs or {}))
        with torch.autocast("cpu", enabled=False):
            maps, *rest = args
            return func(maps.float(), *rest, **(kwargs or {}))


def _is_small(maps: Tensor, kernel: Tensor) -> bool:
    return any(size < least for size, least in zip(maps.shape[-3:], kernel.shape[-3:], strict=True))


def require_precision(precision: str, device: torch.device) -> None:
    """Refuse a precision that the device does not have.

    Raises
    ------
    ConfigError
        If it has not.
    """
    if precision != "bf16" or device.type != "cuda":
        return
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigError(f"{torch.cuda.get_device_name(device)} has no bf16: give --precision fp16")


def make_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler:
    """What keeps small gradients of fp16 from vanishing; without effect for the other precisions."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def choose_memory_format(
    name: str | None, model: nn.Module, precision: str, device: torch.device, clips: int
) -> tuple[str, str]:
    """Turn ``"auto"`` into the format whose steps are faster here, measured on a copy of the model.

    Parameters
    ----------
    name
        A key of `MEMORY_FORMATS`, ``"auto"``, or None: ``"auto"`` on CUDA, where it depends on the GPU, the
        precision and the libraries, and ``"channels_last_3d"`` elsewhere: on CPUs it is the faster one.
    model, precision, device
        What is to be trained, and how.
    clips
        Of a step; `TIMED_CLIPS` at most are used.

    Returns
    -------
    name
        A key of `MEMORY_FORMATS`.
    measured
        One line that says how fast each was; empty if nothing was measured.
    """
    if name is None:
        name = "auto" if device.type == "cuda" else "channels_last_3d"
    if name != "auto":
        return name, ""
    seconds = {
        each: _step_seconds(copy.deepcopy(model), each, precision, device, min(clips, TIMED_CLIPS))
        for each in MEMORY_FORMATS
    }
    best = min(seconds, key=seconds.__getitem__)
    words = ", ".join(f"{each} {value * 1e3:.0f} ms a clip" for each, value in seconds.items())
    return best, f"memory format {best} ({words})"


def set_memory_format(model: nn.Module, name: str, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Lay out the weights of convolutions in a format of `MEMORY_FORMATS`; their values stay.

    So is the optimiser's momentum: torch's fused step takes it for granted that the two lie alike. Weights
    that have no momentum yet are given zeros, which the first step makes what it would have begun with;
    torch's own beginning leaves memory as it was found if fp16's scaler skips that step.
    """
    model.to(memory_format=MEMORY_FORMATS[name])  # type: ignore[call-overload]
    if optimizer is None:
        return
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if group["momentum"] and weight.requires_grad:
                momentum = torch.zeros_like(weight)
                found = optimizer.state[weight].get("momentum_buffer")
                optimizer.state[weight]["momentum_buffer"] = (
                    momentum if found is None else momentum.copy_(found)
                )


def _step_seconds(
    model: nn.Module, memory_format: str, precision: str, device: torch.device, clips: int
) -> float:
    """Shortest time a clip of a forward and a backward pass; draws nothing from torch's generators."""
    set_memory_format(model, memory_format)
    shape = (clips, 3, CLIP_FRAMES, VIEW_SIZE, VIEW_SIZE)
    views = torch.zeros(shape, device=device).contiguous(memory_format=MEMORY_FORMATS[memory_format])
    shortest = float("inf")
    generators = generator_states(device)
    for step in range(1 + TIMED_STEPS):
        began = time.perf_counter()
        with autocast(precision, device):
            outputs: tuple[Tensor, ...] = model(views)
            sum(output.float().sum() for output in outputs).backward()  # type: ignore[union-attr]
        next(model.parameters()).flatten()[0].item()  # waits until the device has done it all
        if step:
            shortest = min(shortest, time.perf_counter() - began)
    set_generator_states(generators, device)  # dropout drew from them
    return shortest / clips


TOP_PAD_BYTES: Final = 200_000_000


def keep_pages() -> bool:
    """Keep freed memory in the process instead of returning it to the system (glibc only).

    By default glibc maps every large array anew, so each activation of each step costs page faults
    (measured: 220,000 per step, a fifth of its CPU time).

    Returns
    -------
    bool
        Whether the C library has these settings.
    """
    return set_malloc_options({M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1, M_TOP_PAD: TOP_PAD_BYTES})


@contextlib.contextmanager
def oom_as_training_error(device: torch.device) -> Iterator[None]:
    """Say in one line that a device's memory does not hold the work, and what needs less.

    Raises
    ------
    TrainingError
        In place of torch's error.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"{device} has too little memory ({reason}): give a smaller --batch-size, --precision bf16, or "
            "mas-train --accumulate 4"
        ) from error
