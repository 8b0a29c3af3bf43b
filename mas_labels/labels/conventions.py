"""The two conventions of the labels: the text of the paper, and the code released by its authors.

They differ in seven choices and nothing else: a convention is data, read by one code path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from mas_labels.errors import ConfigError


@dataclass(frozen=True)
class Convention:
    """The choices that the paper leaves open, or that differ in the released code.

    Attributes
    ----------
    name
        Name of the convention.
    derivative
        ``"central"``: central differences, one-sided at the border of the field. ``"prewitt"``: 3 x 3,
        unnormalised, by true convolution (so of opposite sign), the border mirrored with its edge repeated.
    angle
        ``"counter-clockwise"`` on the screen, exact; ``"clockwise"`` as computed by `cv2.cartToPolar`.
    vote
        ``"whole"``: a pixel's magnitude goes to the bin of its angle. ``"split"``: it is divided linearly
        between that bin and the next.
    diagonals
        ``"partition"``: a pixel on a diagonal belongs to one triangle. ``"shared"``: to both neighbours.
    dominant_colour
        ``"octant"``: the fullest octant of RGB. ``"colour"``: the octant of the most frequent 24-bit colour.
    colour_numbers
        Number of each octant; the octant's index is 4 [R >= 128] + 2 [G >= 128] + [B >= 128].
    motionless_grid
        Location and orientation on the grid of a view in which nothing moves.
    """

    name: str
    derivative: Literal["central", "prewitt"]
    angle: Literal["counter-clockwise", "clockwise"]
    vote: Literal["whole", "split"]
    diagonals: Literal["partition", "shared"]
    dominant_colour: Literal["octant", "colour"]
    colour_numbers: tuple[int, int, int, int, int, int, int, int]
    motionless_grid: int


PAPER: Final = Convention(
    name="paper",
    derivative="central",
    angle="counter-clockwise",
    vote="whole",
    diagonals="partition",
    dominant_colour="octant",
    colour_numbers=(1, 2, 3, 4, 5, 6, 7, 8),
    motionless_grid=1,
)
"""Sections 3.2 and 3.3 of the paper, figure 2 for the direction of angles."""

AUTHORS: Final = Convention(
    name="authors",
    derivative="prewitt",
    angle="clockwise",
    vote="split",
    diagonals="shared",
    dominant_colour="colour",
    colour_numbers=(5, 1, 6, 2, 7, 3, 8, 4),
    motionless_grid=0,
)
"""The released code, for compatibility with models trained with it.

Two of its errors are not reproduced: the colour of a ring (it slices time instead of rows; here the rule is
applied to the right pixels) and mirroring without negating u.
"""

CONVENTIONS: Final = {convention.name: convention for convention in (PAPER, AUTHORS)}


def get_convention(name: str) -> Convention:
    """Return the convention with that name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name not in CONVENTIONS:
        raise ConfigError(f"no convention {name!r}: choose one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]
