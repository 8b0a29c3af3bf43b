"""What the page says of how steady labels are."""

from __future__ import annotations

from typing import Final

from mas_labels.report.page import table
from mas_labels.schema import LABEL_NAMES
from mas_labels.steadiness import NEAR_PIXELS, TURNED_NAMES, Steadiness

TURNS: Final = ("0\u00b0", "45\u00b0", "90\u00b0", "135\u00b0", "180\u00b0")


def steadiness_section(found: Steadiness) -> str:
    """Return the agreement of labels with near views and with next clips, and how orientations turn."""
    if not found.near_pairs and not found.next_pairs:
        return ""
    columns = (
        found.by_chance,
        found.near_same / found.near_pairs if found.near_pairs else None,
        found.next_same / found.next_pairs if found.next_pairs else None,
    )
    rows = [
        (name, *("-" if shares is None else f"{shares[place]:.0%}" for shares in columns))
        for place, name in enumerate(LABEL_NAMES)
    ]
    heads = ("label", "by chance", f"view moved by {NEAR_PIXELS} pixels or less", "next clip")
    words = (
        "How often the centre view's label is the same in a view that is moved a little, and in the next "
        "clip of the video; by chance: in two clips drawn at random."
    )
    parts = [f"<h2>How steady labels are</h2><p>{words}</p>", '<div class="wide"><div>', table(heads, rows)]
    if found.next_pairs:
        turned = [
            (name, *(f"{share:.0%}" for share in shares))
            for name, shares in zip(TURNED_NAMES, found.turned_by(), strict=True)
        ]
        evenly = ("evenly drawn", "12%", "25%", "25%", "25%", "12%")
        parts.append(
            "</div><div><p>By how much orientations are turned in the next clip, to either side:</p>"
        )
        parts.append(table(("label", *TURNS), [*turned, evenly]))
    return "".join([*parts, "</div></div>"])
