"""Performance of training steps: precision, memory formats and memory. Results change by rounding alone."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.backends import cudnn
from torch.overrides import TorchFunctionMode

from mas_labels.errors import ConfigError, TrainingError
from mas_labels.geometry import Geometry
from mas_labels.system.linux import M_MMAP_MAX, M_TOP_PAD, M_TRIM_THRESHOLD, set_malloc_options
from mas_train.runtime.generators import generator_states, set_generator_states
from mas_train.runtime.names import MEMORY_FORMAT_NAMES

HALF_PRECISIONS: Final[Mapping[str, torch.dtype]] = MappingProxyType(
    {"bf16": torch.bfloat16, "fp16": torch.float16}
)
MEMORY_FORMATS: Final[Mapping[str, torch.memory_format]] = MappingProxyType(
    {name: getattr(torch, attribute) for name, attribute in MEMORY_FORMAT_NAMES.items()}
)
BROKEN_CUDNN: Final = range(90800, 91500)
"""Versions of cuDNN that compute 3D convolutions of contiguous maps in half precision wrongly (pytorch issue
163539). Torch 2.8 uses them all the same; from 2.9 on it takes slow ones with several times the memory."""
TIMED_STEPS: Final = 3
TIMED_CLIPS: Final = 8
"""Steps and clips that each memory format is timed with, after one warm-up step."""


@contextlib.contextmanager
def autocast(precision: str, device: torch.device) -> Iterator[None]:
    """Compute forward passes in `precision` while the block runs; weights stay in float32.

    Notes
    -----
    On a CPU some convolutions stay in float32: see `SmallInputsInFloat32`.
    """
    if precision == "float32":
        yield
        return
    guard = SmallInputsInFloat32() if device.type == "cpu" else contextlib.nullcontext()
    with torch.autocast(device.type, HALF_PRECISIONS[precision]), guard:
        yield


class SmallInputsInFloat32(TorchFunctionMode):
    """Computes 3D convolutions whose input is smaller than their kernel in any direction in float32.

    Notes
    -----
    On CPUs with AVX-512, oneDNN 3.12 (that of torch 2.13 and 2.14) returns arbitrary weight gradients for
    such convolutions in bf16, at random and often finite, or writes out of bounds. Without AMX too few frames
    suffice: C3D's last convolution is affected (2 frames, kernel of 3), and so are the last ones of
    torchvision's networks. With AMX, too few rows or columns do as well, which these networks do not reach.
    The rule depends on shapes alone, so that a resumed run, and processes on different machines, compute
    alike.
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
    """Return whether feature maps are smaller than a kernel in any direction."""
    return any(size < minimum for size, minimum in zip(maps.shape[-3:], kernel.shape[-3:], strict=True))


def _has_broken_cudnn(precision: str, device: torch.device) -> bool:
    """Return whether steps in a precision would run into `BROKEN_CUDNN`."""
    return device.type == "cuda" and precision in HALF_PRECISIONS and cudnn.version() in BROKEN_CUDNN


def require_precision(precision: str, device: torch.device, memory_format: str | None = None) -> None:
    """Raise an error if the device does not support a precision, or not in a memory format.

    Raises
    ------
    ConfigError
        If it does not.
    """
    if memory_format == "contiguous" and _has_broken_cudnn(precision, device):
        raise ConfigError(
            f"cuDNN {cudnn.version()} computes contiguous {precision} convolutions wrongly or slowly: leave "
            "--memory-format out, or install cuDNN 9.15 (91500) or later"
        )
    if precision != "bf16" or device.type != "cuda":
        return
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigError(f"{torch.cuda.get_device_name(device)} has no bf16: give --precision fp16")


def make_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler:
    """Make the loss scaler that keeps small fp16 gradients from vanishing; disabled for other precisions."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def choose_memory_format(
    name: str | None, model: nn.Module, precision: str, device: torch.device, clips: int, geometry: Geometry
) -> tuple[str, str]:
    """Resolve ``"auto"`` to the memory format with the faster steps, measured on a copy of the model.

    Parameters
    ----------
    name
        A key of `MEMORY_FORMATS`, ``"auto"``, or None: ``"auto"`` on CUDA, where it depends on the GPU, the
        precision and the libraries, and ``"channels_last_3d"`` elsewhere: on CPUs it is the faster one.
    model, precision, device
        The model to train, its precision and its device.
    clips
        Clips per step; at most `TIMED_CLIPS` are used.
    geometry
        That of the clips.

    Returns
    -------
    name
        A key of `MEMORY_FORMATS`.
    reason
        One line with the time of each format, or why nothing was measured; empty if there was no choice.
    """
    if name is None:
        name = "auto" if device.type == "cuda" else "channels_last_3d"
    if name != "auto":
        return name, ""
    if _has_broken_cudnn(precision, device):
        return "channels_last_3d", f"memory format channels_last_3d (cuDNN {cudnn.version()} has no other)"
    shape = (min(clips, TIMED_CLIPS), 3, geometry.clip_frames, geometry.view_size, geometry.view_size)
    seconds = {
        each: _step_seconds(copy.deepcopy(model), each, precision, device, shape) for each in MEMORY_FORMATS
    }
    best = min(seconds, key=seconds.__getitem__)
    times = ", ".join(f"{each} {value * 1e3:.0f} ms per clip" for each, value in seconds.items())
    return best, f"memory format {best} ({times})"


def set_memory_format(model: nn.Module, name: str, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Lay out the weights of convolutions in a format of `MEMORY_FORMATS`; their values do not change.

    The optimiser's state gets the same layout, as torch's fused step requires. Weights without momentum, of
    SGD, get zeros, which lead to the same first step; torch itself would leave uninitialised memory if the
    fp16 scaler skips that step.
    """
    model.to(memory_format=MEMORY_FORMATS[name])  # type: ignore[call-overload]
    if optimizer is None:
        return
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if group.get("momentum") and weight.requires_grad:
                optimizer.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))
            state = optimizer.state.get(weight, {})
            for name, value in state.items():
                if value.shape == weight.shape:  # others are numbers of steps
                    state[name] = torch.zeros_like(weight).copy_(value)


def _step_seconds(
    model: nn.Module, memory_format: str, precision: str, device: torch.device, shape: tuple[int, ...]
) -> float:
    """Measure the shortest time per clip of a pass on views of a shape; generator states do not change."""
    set_memory_format(model, memory_format)
    views = torch.zeros(shape, device=device).contiguous(memory_format=MEMORY_FORMATS[memory_format])
    shortest = float("inf")
    generators = generator_states(device)
    for step in range(1 + TIMED_STEPS):
        began = time.perf_counter()
        with autocast(precision, device):
            outputs: tuple[Tensor, ...] = model(views)
            sum(output.float().sum() for output in outputs).backward()  # type: ignore[union-attr]
        next(model.parameters()).flatten()[0].item()  # waits for the device
        if step:
            shortest = min(shortest, time.perf_counter() - began)
    set_generator_states(generators, device)  # dropout drew from them
    return shortest / shape[0]


def queued_work(device: torch.device) -> Callable[[], bool]:
    """Return a function that tells whether the device has done what is queued now; only CUDA has a queue."""
    if device.type != "cuda":
        return lambda: True
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event.query


TOP_PAD_BYTES: Final = 200_000_000


def keep_pages() -> bool:
    """Keep freed memory in the process instead of returning it to the system (glibc only).

    By default glibc maps new memory for every large array, so each activation of each step costs page faults
    (measured: 220,000 per step, a fifth of its CPU time).

    Returns
    -------
    bool
        Whether the C library has these settings.
    """
    return set_malloc_options({M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1, M_TOP_PAD: TOP_PAD_BYTES})


OUT_OF_MEMORY: Final = ("CUDA error: out of memory", "_STATUS_ALLOC_FAILED")
"""Texts of the same error where CUDA, cuBLAS or cuDNN allocate by themselves, without torch's allocator."""
OF_TRAINING: Final = "a smaller --batch-size, --precision bf16, or mas-train --accumulate 4"
OF_INFERENCE: Final = "--device cpu, or to mas-embed and mas-predict a smaller --batch-size"
"""Remedies of that error."""


@contextlib.contextmanager
def oom_as_training_error(remedies: str = OF_TRAINING) -> Iterator[None]:
    """Turn an out-of-memory error of a device into one line with the remedies.

    Raises
    ------
    TrainingError
        In place of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and not any(t in str(error) for t in OUT_OF_MEMORY):
            raise
        reason = str(error).splitlines()[0]
        raise TrainingError(f"the device has too little memory ({reason}): give {remedies}") from error
