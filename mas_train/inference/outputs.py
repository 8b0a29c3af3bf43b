"""Outputs of a network for clips: the one code that evaluates a network, whatever its clips come from.

Notes
-----
On a CPU the output of a clip is a function of the clip and the weights alone, not of the batch around it:
libraries compute a batch of one by other kernels than a larger one, so a clip alone is computed with a copy
of itself. Kernels of fully connected layers depend on the number of rows:
`mas_train.model.classifier.Classifier.probabilities` therefore gives them a fixed number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mas_labels.geometry import Geometry
from mas_train.data.views import centre_view, take_views
from mas_train.runtime.performance import OF_INFERENCE, oom_as_training_error, set_memory_format

MIN_ROWS: Final = 2
"""Fewest clips that are computed together."""


class HasFrames(Protocol):
    """A batch of clips: `mas_train.inference.sources.SourceBatch`, `mas_train.data.clips.ClipBatch`."""

    @property
    def frames(self) -> Tensor:
        """(n, frames, rows, cols, 3) uint8 RGB; n may be 0."""


Batch = TypeVar("Batch", bound=HasFrames)


def clip_outputs(
    model: nn.Module,
    output: Callable[[Tensor], Tensor],
    pixel_mean: tuple[float, float, float],
    geometry: Geometry,
    batches: Iterable[Batch],
    device: torch.device,
) -> Iterator[tuple[Batch, NDArray[np.float32]]]:
    """Compute a network's output for the centre view of every clip.

    Parameters
    ----------
    model
        The module that holds all weights of `output`; it is moved to `device`, in evaluation mode.
    output
        Function from views (B, 3, frames, size, size) to outputs (B, D).
    pixel_mean
        Mean of R, G and B, which is subtracted from the views.
    geometry
        That of the clips.
    batches
        The clips.
    device
        Where the network runs. Other devices than a CPU compute one batch while the next one is fetched.

    Yields
    ------
    batch, (n, D) float32
        Each batch with one row per clip; (0, 0) for a batch without clips.

    Raises
    ------
    TrainingError
        If the device has too little memory.
    """
    with oom_as_training_error(OF_INFERENCE):
        model.to(device).eval()
        set_memory_format(model, "channels_last_3d")  # that of the views
        centre = torch.tensor(centre_view(geometry), device=device)
        begun: deque[tuple[Batch, Tensor]] = deque()
        for batch in batches:
            with torch.inference_mode():
                frames = batch.frames.to(device, non_blocking=True)
                if 0 < len(frames) < MIN_ROWS:
                    frames = frames[[0] * MIN_ROWS]
                views = centre.expand(len(frames), 3)
                rows = (
                    output(take_views(frames, views, pixel_mean, geometry)).float()[: len(batch.frames)]
                    if len(frames)
                    else torch.empty(0, 0)
                )
            begun.append((batch, rows))
            if device.type == "cpu" or len(begun) > 1:
                yield _arrive(*begun.popleft())
        yield from (_arrive(*pair) for pair in begun)


def _arrive(batch: Batch, rows: Tensor) -> tuple[Batch, NDArray[np.float32]]:
    """Wait until a batch is computed."""
    return batch, rows.cpu().numpy()
