"""Stop `make test-sanitize` unless the extension that Python finds is the one built with the sanitizers."""

from __future__ import annotations

import sys
from pathlib import Path

import mas_labels._tvl1 as native

if b"__asan_init" not in Path(native.__file__).read_bytes():
    sys.exit(f"{native.__file__} was built without the address sanitizer")
