"""Networks as programs for other software: ONNX, and `torch.export`'s saved programs."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor, nn

from mas_labels.system.extras import load_extra
from mas_train.model.backbone import Backbone


class ViewProgram(nn.Module):
    """A network from pixels to its outputs, preprocessing included.

    Parameters
    ----------
    backbone
        Gives the maps of the last convolution.
    pixel_mean
        Subtracted from R, G and B of 0 to 255.
    head
        The fully connected layers of a fine-tuned network; None without.
    """

    pixel_mean: Tensor

    def __init__(
        self, backbone: Backbone, pixel_mean: Sequence[float], head: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).reshape(3, 1, 1, 1))
        self.eval()

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return ["features"] if self.head is None else ["features", "scores"]

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs for views.

        Parameters
        ----------
        clips : Tensor, shape (B, 3, frames, size, size), float
            R, G, B of 0 to 255.

        Returns
        -------
        features : Tensor, shape (B, channels, times, rows, cols)
            Maps of the last convolution.
        scores : Tensor, shape (B, classes)
            Probabilities of the classes, of a fine-tuned network only.
        """
        maps = self.backbone.features(clips - self.pixel_mean)
        if self.head is None:
            return (maps,)
        vectors = torch.flatten(self.backbone.pool(maps), start_dim=1)
        return maps, torch.softmax(self.head(vectors), dim=1)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings of the exporter: of operators that are not used here, and of torch's own old calls."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def write_pt2(path: Path, program: ViewProgram, clips: Tensor) -> list[Tensor]:
    """Write a program for `torch.export.load`, for any number of clips; return the outputs of the file."""
    with torch.no_grad(), _quiet():
        shapes = {"clips": {0: torch.export.Dim("batch")}}
        exported = torch.export.export(program, (clips,), dynamic_shapes=shapes)
        exported.example_inputs = ((clips[:0].clone(),), {})  # saved with the program
        torch.export.save(exported, path)
        return list(torch.export.load(path).module()(clips))


def write_onnx(path: Path, program: ViewProgram, clips: Tensor) -> list[Tensor]:
    """Write a program as ONNX, for any number of clips; return the outputs of the file.

    Raises
    ------
    MissingDependencyError
        If a package that this needs is not installed.
    """
    onnxruntime = load_extra("onnxruntime", "--format onnx needs", "onnx")
    load_extra("onnxscript", "--format onnx needs", "onnx")  # torch's exporter needs it
    with _quiet():
        exported: Any = torch.onnx.export(
            program,
            (clips,),
            dynamo=True,
            input_names=["clips"],
            output_names=program.output_names,
            dynamic_shapes={"clips": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    exported.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [torch.from_numpy(output) for output in session.run(None, {"clips": clips.numpy()})]


WRITERS: Final[Mapping[str, Callable[[Path, ViewProgram, Tensor], list[Tensor]]]] = MappingProxyType(
    {"onnx": write_onnx, "pt2": write_pt2}
)
"""Function that writes each format."""
