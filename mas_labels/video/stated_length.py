"""The length that a container states for its file: a shorter file was cut off, which decoders may not notice.

A file with sound that is cut within a packet of the sound has whole frames until its end. AVI, MP4 and
QuickTime, Matroska and WebM, and ASF state the length of their parts; MPEG-TS, MPEG-PS and FLV do not.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Final

SLACK_BYTES: Final = 8
"""Bytes that may lack: some programs count the header of an AVI's first part twice."""
MAX_HEAD_BYTES: Final = 24
"""Bytes at the start of a part that tell its length."""
EBML: Final = b"\x1a\x45\xdf\xa3"
SEGMENT: Final = b"\x18\x53\x80\x67"
"""Identifiers of the two parts of a Matroska file (RFC 8794, RFC 9559)."""
ASF_PARTS: Final = tuple(
    bytes.fromhex(guid) for guid in ("3026b2758e66cf11a6d900aa0062ce6c", "3626b2758e66cf11a6d900aa0062ce6c")
)
"""Identifiers of the header and the data of an ASF file."""
MP4_PARTS: Final = b"ftyp styp moov moof mdat free skip wide meta udta uuid sidx ssix mfra pdin prft".split()
"""Types of the boxes that an MP4 or QuickTime file consists of (ISO/IEC 14496-12); what follows others is
not part of it."""


def missing_bytes(file: io.FileIO, size: int) -> int:
    """Return the least number of bytes that a video file lacks at its end, by the length of its last part.

    0 if its container states none.

    Parameters
    ----------
    file
        The open file; its position is its start afterwards.
    size
        Its size in bytes.
    """
    end = 0
    for length_of in (_riff_length, _mp4_length, _matroska_length, _asf_length):
        end = _walk(file, size, length_of)
        if end:
            break
    file.seek(0)
    return end - size if end > size + SLACK_BYTES else 0


def _walk(file: io.FileIO, size: int, length_of: Callable[[bytes], int]) -> int:
    """Return the end of the last part of a file; `length_of` a part's first bytes is 0 if it is no part."""
    end = 0
    while end < size:
        file.seek(end, os.SEEK_SET)
        length = length_of(file.read(MAX_HEAD_BYTES))
        if not length:
            break
        end += length
    return end


def _riff_length(head: bytes) -> int:
    """Return the length of a RIFF chunk; 0 as well if a recording that broke off has stated none."""
    length = int.from_bytes(head[4:8], "little")
    return 8 + length + length % 2 if head[:4] == b"RIFF" and length else 0


def _mp4_length(head: bytes) -> int:
    """Return the length of a box; 0 as well if it reaches to the end of the file."""
    if head[4:8] not in MP4_PARTS:
        return 0
    length = int.from_bytes(head[:4], "big")
    length = int.from_bytes(head[8:16], "big") if length == 1 else length
    return length if length >= 8 else 0  # its own length and type


def _matroska_length(head: bytes) -> int:
    """Return the length of an EBML header or a segment; 0 as well if it is not stated, as in a recording."""
    if head[:4] not in (EBML, SEGMENT) or len(head) < 12:
        return 0
    digits = 9 - head[4].bit_length()  # bytes of the number, whose first bits are zeros and a one
    number = int.from_bytes(head[4 : 4 + digits], "big") - (1 << 7 * digits)
    return 0 if digits > 8 or number == (1 << 7 * digits) - 1 else 4 + digits + number


def _asf_length(head: bytes) -> int:
    """Return the length of an ASF object."""
    return int.from_bytes(head[16:24], "little") if head[:16] in ASF_PARTS else 0
