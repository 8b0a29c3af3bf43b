"""A folder for labels or runs: its free space, and what its file system supports."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from mas_labels.doctor.finding import Finding
from mas_labels.errors import CHECK_DISK, REMEDIES, reason_of, system_error
from mas_labels.system.amounts import format_bytes
from mas_labels.system.files import missing_services, sync, sync_folder, take_lock

MIN_FREE_BYTES: Final = 1_000_000_000
LINKS: Final[Mapping[str, Callable[[Path, Path], None]]] = {
    "no hard links: a run that is killed may leave a file that the next one asks to remove": os.link,
    "no symbolic links: the names of the last and the best checkpoint are copies": os.symlink,
}


def find_folder(out: Path) -> Iterator[Finding]:
    """Find what is possible in a folder, or else in the nearest one above it that exists."""
    folder = out
    try:
        folder = next(path for path in (out.absolute(), *out.absolute().parents) if os.path.lexists(path))
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=folder) as scratch:
            missing = find_missing(folder, Path(scratch))
        sync_folder(folder)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        remedy = REMEDIES.get(system_error(error) or 0, CHECK_DISK)
        yield Finding("error", "folder", f"cannot write to {folder} ({reason_of(error)}): {remedy}")
        return
    for text in missing:
        yield Finding("warning", "folder", f"{text}: take another disk, if there is one")
    if not missing:
        yield Finding("ok", "folder", f"{folder}: fsync, locks, reserved space and links work")
    if free >= MIN_FREE_BYTES:
        yield Finding("ok", "disk", f"{format_bytes(free)} free")
    else:
        yield Finding(
            "warning", "disk", f"{format_bytes(free)} free: make room (make --dry-run says how much)"
        )


def find_missing(folder: Path, scratch: Path) -> list[str]:
    """Return what the file system of a folder does not support, in a folder in it that is removed later.

    Raises
    ------
    OSError
        If a file cannot be written and synced.
    """
    path = scratch / "file"
    with path.open("wb") as file:
        file.write(bytes(1 << 20))
        file.flush()
        sync(file.fileno())
    missing = list(filter(None, [missing_services(folder, is_labelling=True).removeprefix("note: ")]))
    locks = [take_lock(path), take_lock(path)]
    if None not in locks and "flock" not in "".join(missing):
        missing.append("locks are granted twice: only heartbeats distinguish runs into the same folder")
    for lock in locks:
        if lock is not None:
            os.close(lock)
    for number, (text, link) in enumerate(LINKS.items()):
        try:
            link(path, scratch / str(number))
        except OSError as error:
            missing.append(f"{text} ({reason_of(error)})")
    return missing
