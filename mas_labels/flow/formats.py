"""The formats of files of flow: their names, their numbering, and the programs that read them.

=============  ==================================================  ==========================================
format         files of the video ``CLASS/NAME.avi``               read by
=============  ==================================================  ==========================================
``tsn``        ``CLASS/NAME/flow_x_00001.jpg``, ``flow_y_...``,    TSN, TSM; mmaction2 as it is
               frames ``CLASS/NAME/img_00001.jpg``
``denseflow``  the same, numbered from 0; at step 2                mmaction2 with ``start_index=0``, and
               ``flow_x_p2_00000.jpg``, at -2 ``flow_x_m2_00002``  programs that read denseflow's files
``uv``         ``u/NAME/frame000001.jpg``, ``v/NAME/...``,         two-stream fusion and other programs for
               frames ``jpegs/NAME/frame000001.jpg``, with         Feichtenhofer's flow of UCF-101, HMDB-51
               ``--short-side 256`` in ``jpegs_256``
``npz``        ``CLASS/NAME.npz``, arrays ``flow``, ``pairs``,     ``numpy.load``
               ``step``, ``fps``, ``options``
``h5``         ``CLASS/NAME.h5``, the same as data sets ``flow``,  ``h5py.File``; one field at a time
               ``pairs``, and attributes of ``flow``
=============  ==================================================  ==========================================

Pictures hold u (``x``) and v (``y``) as grey values (`mas_labels.flow.grey`); next to them, ``bound.txt`` has
the bound, but not in ``uv``, some of whose readers count files. With frames, ``npz`` and ``h5`` put them into
``CLASS/NAME/img_00000.jpg``. ``uv`` has no class folders, because its readers know none. PNG changes only the
extension; denseflow's own PNG, one colour picture of u and v, is not written.

Tried with mmaction2 1.2.0: its ``RawframeDataset`` reads flow and frames of ``tsn`` with its default
``start_index`` of 1, and those of ``denseflow`` with 0, both with ``filename_tmpl="flow_{}_{:05d}.jpg"``.

Pair number k, from 0, is of the frames k and k + step (step < 0: k - step and k). Its picture has number k
plus the first number of the format; backwards, denseflow numbers a pair by the first of its two frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BOUND_FILE: Final = "bound.txt"
"""File beside pictures of flow: pixels per frame that the grey value 255 stands for."""


@dataclass(frozen=True)
class Format:
    """Places and names of the files of one video.

    Attributes
    ----------
    flow
        Places of u and v, relative to the output folder; one if both are there. They are renamed to their
        final names in this order, after that of the frames.
    frames
        Place of the frames; ``{side}`` stands for an underscore and the shorter side, if the options give it.
    names
        Beginnings of the names of pictures of u, v and frames, by kind; no u and v in a file of arrays.
    digits, first_number
        Digits of the numbers in names, and the smallest number.
    has_classes
        Whether the video's folders are kept.
    names_step
        Whether the names of pictures of flow state the step, as denseflow's do.
    """

    flow: tuple[str, ...]
    frames: str
    names: Mapping[str, str]
    digits: int = 5
    first_number: int = 0
    has_classes: bool = True
    names_step: bool = False

    @property
    def is_array(self) -> bool:
        """True if the flow is stored as numbers in one file."""
        return "u" not in self.names

    def picture_name(self, kind: str, number: int, step: int) -> str:
        """Return the name, without extension, of picture `number`, from 0, of `kind` (u, v or frames)."""
        number += self.first_number
        if self.names_step and kind != "frames" and step not in (0, 1):
            number += max(0, -step)
            return f"{self.names[kind]}{'p' if step > 0 else 'm'}{abs(step)}_{number:0{self.digits}d}"
        return f"{self.names[kind]}{number:0{self.digits}d}"


_FLOW_XY: Final = {"u": "flow_x_", "v": "flow_y_", "frames": "img_"}

FORMATS: Final[Mapping[str, Format]] = {
    "tsn": Format(("{video}",), "{video}", _FLOW_XY, first_number=1),
    "denseflow": Format(("{video}",), "{video}", _FLOW_XY, names_step=True),
    "uv": Format(
        ("u/{video}", "v/{video}"),
        "jpegs{side}/{video}",
        dict.fromkeys(("u", "v", "frames"), "frame"),
        digits=6,
        first_number=1,
        has_classes=False,
    ),
    "npz": Format(("{video}.npz",), "{video}", {"frames": "img_"}),
    "h5": Format(("{video}.h5",), "{video}", {"frames": "img_"}),
}


def format_of_file(path: Path) -> str | None:
    """Return the format of an output file by its extension; None for a folder."""
    name = path.suffix[1:]
    return name if name in FORMATS and FORMATS[name].is_array else None
