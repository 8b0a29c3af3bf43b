"""Export of pre-trained backbones for other programs (`mas-export`)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mas_labels.errors import CheckpointError, ConfigError, MissingDependencyError, reason_of

EXPORT_FILES = {
    "safetensors": "backbone.safetensors",
    "torchscript": "features.torchscript.pt",
    "onnx": "features.onnx",
}
"""File of each format."""
EXPORT_CONFIG_FILE = "backbone.json"
TOLERANCE = 1e-3
"""Largest difference of an exported file's features from the original's, relative to the largest feature."""


def export_backbone(source: Path, out: Path, formats: Sequence[str]) -> list[Path]:
    """Export a backbone to files, each read back and compared with the original.

    Parameters
    ----------
    source
        Any file that `mas_train.weights.backbone_file.read_backbone` reads.
    out
        Folder to write to.
    formats
        Some of ``safetensors`` (the weights), ``torchscript`` and ``onnx`` (the feature extractor: from clips
        of shape (B, 3, frames, size, size), float, RGB of 0 to 255, to the feature maps of the last
        convolution; it subtracts the pixel mean itself). Frames and size are those of the clips that the
        backbone was trained on, (B, 3, 16, 112, 112) in the paper. torch has deprecated
        TorchScript in favour of other formats.

    Returns
    -------
    list of Path
        The files written; the last is the configuration, as JSON.

    Raises
    ------
    CheckpointError
        If the source cannot be read, or an exported file gives other features than the original.
    ConfigError
        If the folder cannot be written to.
    MissingDependencyError
        If a format needs a package that is not installed.
    """
    import torch

    from mas_train.weights.backbone_file import read_backbone
    from mas_train.weights.weights_source import find_weights

    backbone, config = read_backbone(find_weights(source))
    extractor = make_extractor(backbone, config.pixel_mean)
    shape = (2, 3, config.geometry.clip_frames, config.geometry.view_size, config.geometry.view_size)
    clips = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 255
    with torch.inference_mode():
        expected = extractor(clips)
    written = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in formats:
            path = out / EXPORT_FILES[name]
            exported = _WRITERS[name](path, extractor, config, clips)
            difference = ((exported - expected).abs().max() / expected.abs().max().clamp(min=1e-12)).item()
            if not difference <= TOLERANCE:
                raise CheckpointError(f"{path} gives features that differ by {difference:.2g}: do not use it")
            written.append(path)
        (out / EXPORT_CONFIG_FILE).write_text(json.dumps(asdict(config), indent=2) + "\n")
    except OSError as error:
        raise ConfigError(f"cannot write to {out} ({reason_of(error)}): give another --out") from error
    return [*written, out / EXPORT_CONFIG_FILE]


def make_extractor(backbone: Any, pixel_mean: Sequence[float]) -> Any:
    """Make a module that subtracts the pixel mean and applies a backbone's `features`."""
    import torch

    class FeatureExtractor(torch.nn.Module):
        pixel_mean: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone
            self.register_buffer("pixel_mean", torch.tensor(pixel_mean).reshape(3, 1, 1, 1))

        def forward(self, clips: torch.Tensor) -> torch.Tensor:
            return self.backbone.features(clips - self.pixel_mean)

    return FeatureExtractor().eval()


def _safetensors(path: Path, extractor: Any, config: Any, clips: Any) -> Any:
    """Write the weights; return the features of the backbone in the file."""
    import torch

    from mas_train.weights.backbone_file import read_backbone, write_safetensors

    write_safetensors(path, extractor.backbone, config)
    backbone, exported_config = read_backbone(path)
    with torch.inference_mode():
        return make_extractor(backbone, exported_config.pixel_mean)(clips)


def _torchscript(path: Path, extractor: Any, config: Any, clips: Any) -> Any:
    """Write the traced feature extractor; return the features of the file."""
    import torch

    with torch.no_grad():
        torch.jit.trace(extractor, clips[:1]).save(str(path))
        return torch.jit.load(str(path))(clips)


def _onnx(path: Path, extractor: Any, config: Any, clips: Any) -> Any:
    """Write the feature extractor as ONNX, for any number of clips; return the features of the file."""
    import torch

    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise MissingDependencyError(
            f'--format onnx needs {error.name}, which is not installed: pip install "mas-video[onnx]"'
        ) from error
    quiet = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the exporter warns of operators that are not used here
    try:
        program = torch.onnx.export(
            extractor,
            (clips,),
            dynamo=True,
            input_names=["clips"],
            output_names=["features"],
            dynamic_shapes={"clips": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    finally:
        logging.disable(quiet)
    assert program is not None  # as always with dynamo=True
    program.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"clips": clips.numpy()})[0])


_WRITERS: dict[str, Callable[[Path, Any, Any, Any], Any]] = {
    "safetensors": _safetensors,
    "torchscript": _torchscript,
    "onnx": _onnx,
}
