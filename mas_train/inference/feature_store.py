"""Finished videos of a run of features: kept beside its output until that is complete, so that it resumes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ConfigError, reason_of, storage_error
from mas_labels.shards import as_unicode
from mas_labels.system.files import atomic_path, lock_file, write_text
from mas_labels.version import resumable
from mas_train.inference.feature_files import FeatureTable, to_json

RUN_FILE: Final = "run.json"
VIDEOS_FILE: Final = "videos.jsonl"
FEATURES_FILE: Final = "features.f32"
FLOAT_BYTES: Final = 4
READ_BYTES: Final = 1 << 24


class FeatureStore:
    """A hidden folder beside a file of features, with the videos that are finished.

    Features are appended to one file of float32. A line of JSON about a video follows its features, with
    their number and checksum; on resuming, whatever has no such line is cut off.

    Parameters
    ----------
    out
        The file to be made in the end.
    run
        Everything that its rows follow from, to be stored as JSON.
    size
        Numbers of a feature.

    Attributes
    ----------
    done
        Name of each finished video -> whether it failed.

    Raises
    ------
    ConfigError
        If `out` exists, the folder is another run's or in use, or it cannot be written.
    """

    def __init__(self, out: Path, run: Mapping[str, Any], size: int) -> None:
        self.out, self.folder = out, out.with_name(f".{out.name}.partial")
        self._size = size
        self._begun: dict[str, tuple[int, int]] = {}
        self._require_new()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock_file(
                self.folder / "lock", f"another run is writing {out}: let it finish, or give another --out"
            )
            self._require_new()  # a run that held the lock may have written it
            self._check_run(out, run)
            self._open()
        except OSError as error:
            raise ConfigError(
                f"cannot write to {out.parent} ({reason_of(error)}): give another --out"
            ) from error

    def _require_new(self) -> None:
        if self.out.exists():
            raise ConfigError(f"--out {self.out} exists: remove it, or give another --out")

    def _check_run(self, out: Path, run: Mapping[str, Any]) -> None:
        """Hold a stored run against this one; store this one if there is none."""
        path, expected = self.folder / RUN_FILE, json.loads(to_json(run))
        if not path.exists():
            write_text(path, to_json(run))
            return
        stored = json.loads(path.read_text(encoding="utf-8"), object_hook=resumable)
        names = sorted(name for name in {*stored, *expected} if stored.get(name) != expected.get(name))
        if names:
            raise ConfigError(
                f"{self.folder} holds finished videos of a run with other {', '.join(names)}: repeat that "
                f"command, give another --out than {out}, or remove the folder"
            )

    def _open(self) -> None:
        """Open the files; cut off what does not belong to a finished video."""
        self._features = (self.folder / FEATURES_FILE).open("a+b")
        self._videos = (self.folder / VIDEOS_FILE).open("a+b")
        self.done: dict[str, bool] = {}
        kept_rows, kept_bytes = 0, 0
        self._features.seek(0)
        self._videos.seek(0)
        for text in self._videos:
            line = _parse_line(text)
            if line is None or line["again"] or self._read_checksum(line["features"]) != line["checksum"]:
                break
            kept_rows, kept_bytes = kept_rows + line["features"], kept_bytes + len(text)
            self.done[line["video"]] = line["failed"]
        self._features.truncate(kept_rows * self._size * FLOAT_BYTES)
        self._videos.truncate(kept_bytes)

    def _read_checksum(self, rows: int) -> int | None:
        """Return the checksum of the next rows; None if there are not so many."""
        left, checksum = rows * self._size * FLOAT_BYTES, 0
        while left:
            part = self._features.read(min(left, READ_BYTES))
            if not part:
                return None
            left, checksum = left - len(part), zlib.crc32(part, checksum)
        return checksum

    def add(self, video: str, feature: NDArray[np.float32]) -> None:
        """Append a feature, (D,), of a video; videos are finished in the order of their features."""
        content = feature.astype("<f4").tobytes()
        with self._reporting():
            self._features.write(content)
        rows, checksum = self._begun.get(video, (0, 0))
        self._begun[video] = rows + 1, zlib.crc32(content, checksum)

    def finish(
        self, video: str, rows: Sequence[Mapping[str, Any]], failed: bool, again: bool = False
    ) -> None:
        """Note that a video is finished: its features have been added.

        Parameters
        ----------
        video
            Its name.
        rows
            Its rows in the table, without features, those that have one first.
        failed
            Whether it could not be used, or not to its end.
        again
            Whether a run that resumes tries it again, and so all after it.
        """
        count, checksum = self._begun.pop(video, (0, 0))
        line = {"video": video, "failed": failed, "again": again, "rows": rows}
        line |= {"features": count, "checksum": checksum}
        with self._reporting():
            self._features.flush()
            self._videos.write(json.dumps(line).encode() + b"\n")
            self._videos.flush()
        self.done[video] = failed

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        """Report a write that fails, such as on a full disk."""
        try:
            yield
        except OSError as error:
            raise storage_error(self.out, error, "video") from error

    def publish(
        self, write: Callable[[Path, FeatureTable], None], kinds: Mapping[str, type], provenance: str
    ) -> FeatureTable:
        """Write the rows of all finished videos to `out`, which appears whole; remove the folder.

        The table that is returned stays readable, since its file is mapped.
        """
        with self._reporting():
            table = self._table(kinds, provenance)
            with atomic_path(self.out) as hidden:
                write(hidden, table)
        shutil.rmtree(self.folder, ignore_errors=True)
        return table

    def _table(self, kinds: Mapping[str, type], provenance: str) -> FeatureTable:
        """Return the rows of all finished videos; features stay in their file."""
        columns: dict[str, list[Any]] = {name: [] for name in kinds}
        has_feature: list[bool] = []
        for line in map(json.loads, (self.folder / VIDEOS_FILE).read_bytes().splitlines()):
            for number, row in enumerate(line["rows"]):
                has_feature.append(number < line["features"])
                for name, column in columns.items():
                    value = row.get(name)
                    column.append(as_unicode(value) if isinstance(value, str) else value)
        path, has = self.folder / FEATURES_FILE, np.array(has_feature, bool)
        features = np.empty((0, self._size), np.float32)
        if has.any():
            features = np.memmap(path, "<f4", "r", shape=(int(has.sum()), self._size))
        return FeatureTable(columns, kinds, features, has, provenance)

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, self._lock)
            stack.enter_context(self._reporting())  # what is still to be written may not fit on the disk
            stack.callback(self._videos.close)
            stack.callback(self._features.close)


def _parse_line(text: bytes) -> dict[str, Any] | None:
    """Return the line of a finished video; None if it was not written to its end."""
    try:
        return json.loads(text) if text.endswith(b"\n") else None
    except ValueError:
        return None
