"""Options of flow for whole videos; importing them loads neither NumPy nor OpenCV."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any, Final, Literal

from mas_labels.errors import ConfigError
from mas_labels.flow.formats import FORMATS, Format
from mas_labels.flow.methods import MAX_SIDE, METHODS, MIN_SIDE
from mas_labels.system.options import bounds, check_options, choices
from mas_labels.video.frame_rate import parse_fps

MAX_STEP: Final = 1000


@dataclass(frozen=True)
class FlowOptions:
    """Options that decide the content of files of flow.

    Attributes
    ----------
    flow
        Optical flow estimator.
    format
        Files to write.

        `mas_labels.flow.formats` has the table.
    dtype
        Number type in a file .npz or .h5.
    bound
        Flow in pixels that the grey value 255 of a picture stands for; 0 stands for its negative.

        The default is what two-stream code uses.
    picture
        Type of the pictures, of flow and of frames; png is lossless.
    quality
        Quality of the JPEG pictures.
    step
        Number of frames from the first frame of a pair to its second one; negative: flow backwards in time.

        There is one pair for each frame that has a partner, whatever the step.
    size
        Rows and columns to resize to first.

        None: not resized. Resizing follows `mas_labels.video.clips.resize`, as for labels.
    short_side
        Length of the shorter side to resize to first; the aspect ratio is kept.
    fps
        Frames per second to resample each video to, by its time stamps, such as 25, 29.97 or 30000/1001.

        Empty: each video's own frames.
    frames
        Write the frames as pictures beside the flow.

    Raises
    ------
    ConfigError
        If an option is out of its range, or contradicts another.
    """

    flow: str = field(default="tvl1", metadata=choices(METHODS))
    format: str = field(default="tsn", metadata=choices(FORMATS))
    dtype: str = field(default="float16", metadata=choices(("float16", "float32")))
    bound: float = field(default=20.0, metadata=bounds(above=0))
    picture: Literal["jpg", "png"] = "jpg"
    quality: int = field(default=95, metadata=bounds(at_least=1, at_most=100))
    step: int = field(default=1, metadata=bounds(at_least=-MAX_STEP, at_most=MAX_STEP))
    size: tuple[int, int] | None = None
    short_side: int | None = field(default=None, metadata=bounds(at_least=MIN_SIDE, at_most=MAX_SIDE))
    fps: str = ""
    frames: bool = False

    def __post_init__(self) -> None:
        check_options(self)
        if self.step == 0:
            raise ConfigError("step: expected a number of frames other than 0: 1 pairs neighbours")
        if self.size is not None and self.short_side is not None:
            raise ConfigError("size, short_side: expected one of them, found both: leave one out")
        sides = (MIN_SIDE, MIN_SIDE) if self.size is None else self.size
        if len(sides) != 2 or not all(side in range(MIN_SIDE, MAX_SIDE + 1) for side in sides):
            found = " x ".join(map(str, sides))
            raise ConfigError(
                f"size: expected rows and columns of {MIN_SIDE} to {MAX_SIDE} pixels, found {found}"
            )
        if self.fps:
            object.__setattr__(self, "fps", str(parse_fps(self.fps)))  # equal rates are spelled alike

    @property
    def layout(self) -> Format:
        """The names of the files of `format`."""
        return FORMATS[self.format]

    @property
    def frame_rate(self) -> Fraction | None:
        """The frame rate of `fps`; None for each video's own."""
        return Fraction(self.fps) if self.fps else None

    def frame_size(self, rows: int, cols: int) -> tuple[int, int]:
        """Return the rows and columns to which frames of `rows` x `cols` are resized."""
        if self.size is not None:
            return self.size
        if self.short_side is None:
            return rows, cols
        short = min(rows, cols)
        return (rows * self.short_side + short // 2) // short, (cols * self.short_side + short // 2) // short

    def as_dict(self) -> dict[str, Any]:
        """Return the options by name, as JSON stores them."""
        return {**asdict(self), "size": None if self.size is None else list(self.size)}
