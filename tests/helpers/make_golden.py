"""Regenerates the golden files of the tests: `make golden`. Review the difference before you commit it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mas_labels import LABEL_NAMES, compute_labels
from mas_labels.doctor import self_test
from mas_labels.doctor.self_test import VIEWS, clip_labels, digest, generate_clip, grey_frames
from mas_labels.flow.tvl1 import tvl1_flow

GOLDEN = Path(__file__).parents[1] / "golden"


def golden_labels() -> dict[str, list[dict[str, int]]]:
    """Return the labels of the golden clip by convention, view and name."""
    frames, flow = generate_clip()
    return {
        convention: [
            dict(zip(LABEL_NAMES, labels.tolist(), strict=True))
            for labels in compute_labels(frames, flow, VIEWS, convention)
        ]
        for convention in ("paper", "authors")
    }


def golden_digests() -> dict[str, str]:
    """Return the digests of the self-test by the name of their constant."""
    return {"FLOW_DIGEST": digest(tvl1_flow(grey_frames())), "LABELS_DIGEST": digest(clip_labels())}


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / "labels.json").write_text(json.dumps(golden_labels(), indent=1) + "\n")
    source = Path(self_test.__file__)
    text = source.read_text(encoding="utf-8")
    for name, value in golden_digests().items():
        text = re.sub(rf"^({name}: Final) = .*$", rf'\1 = "{value}"', text, flags=re.M)
    source.write_text(text, encoding="utf-8")
