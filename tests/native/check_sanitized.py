"""Stop `make test-sanitize` unless the extensions that Python finds are those built with the sanitizers."""

from __future__ import annotations

import sys
from pathlib import Path

import mas_labels._checksum as checksum
import mas_labels._labels as labels
import mas_labels._resize as resize
import mas_labels._tvl1 as tvl1

for extension in (checksum, labels, resize, tvl1):
    if b"__asan_init" not in Path(extension.__file__).read_bytes():
        sys.exit(f"{extension.__file__} was built without the address sanitizer")
