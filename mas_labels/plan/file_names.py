"""Names of the files in a folder of shards."""

from __future__ import annotations

import re
from typing import Final

PLAN_SUFFIX: Final = ".plan.json"
PLAN_NAME: Final = re.compile(r"(?P<batch>[^.].*)\.plan\.json", re.DOTALL)
SHARD_NAME: Final = re.compile(
    r"\.?(?P<batch>.+)-(?P<index>\d{5,})-of-(?P<count>\d{5,})\.h5(\.progress|\.partial)?", re.DOTALL
)
ADDED_NAME: Final = re.compile(r"(?P<first>.+)-added(?P<number>\d{4})", re.DOTALL)
ALL_SHARDS: Final = "-*.h5"
"""End of what stands for the shards of a batch whose number is not known."""


def added_name(first: str, number: int) -> str:
    """Return the name of a batch, from that of the first one and its number."""
    return f"{first}-added{number:04d}" if number else first
