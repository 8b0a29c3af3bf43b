"""Pictures of clips, for notebooks and pages.

`Clip.show` draws the whole picture. Panel by panel: `SeenClip(clip, view)` holds the data of one view of a
clip (frames, flow, Mu and Mv, labels), and each function of `panels` and `pattern_panels` draws one panel
into matplotlib axes. Drawing needs the extra ``[inspect]``; importing does not.
"""

from mas_labels.inspect.clip_picture import clip_figure, save_clip_figure
from mas_labels.inspect.flow_colour import colour_wheel, flow_colours
from mas_labels.inspect.panels import (
    draw_boundary,
    draw_fields,
    draw_flow,
    draw_frame,
    draw_label_values,
    draw_wheel,
)
from mas_labels.inspect.pattern_panels import draw_appearance, draw_blocks, draw_motion
from mas_labels.inspect.picture import Picture, figure_png
from mas_labels.inspect.seen_clip import SeenClip
from mas_labels.system.figures import new_figure

__all__ = [
    "Picture",
    "SeenClip",
    "clip_figure",
    "colour_wheel",
    "draw_appearance",
    "draw_blocks",
    "draw_boundary",
    "draw_fields",
    "draw_flow",
    "draw_frame",
    "draw_label_values",
    "draw_motion",
    "draw_wheel",
    "figure_png",
    "flow_colours",
    "new_figure",
    "save_clip_figure",
]
