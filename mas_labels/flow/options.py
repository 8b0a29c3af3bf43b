"""Options of files of flow; importing them loads neither NumPy nor OpenCV."""

from __future__ import annotations

from dataclasses import dataclass, field

from mas_labels.system.options import bounds, check_options, choices


@dataclass(frozen=True)
class FlowFileOptions:
    """Options for writing flow (`mas_labels.flow.files.write_flow`).

    Attributes
    ----------
    dtype
        Number type in a file .npz or .h5.
    bound
        Flow in pixels per frame that the grey value 255 of a picture stands for; 0 stands for its negative.

        The default is what two-stream code uses.

    Raises
    ------
    ConfigError
        If an option is out of its range.
    """

    dtype: str = field(default="float16", metadata=choices(("float16", "float32")))
    bound: float = field(default=20.0, metadata=bounds(above=0))

    def __post_init__(self) -> None:
        check_options(self)
