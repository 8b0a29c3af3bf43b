"""TV-L1 flow under the names of OpenCV's contrib module, so that a program changes only its import."""

from mas_labels.flow.opencv_tvl1 import DualTVL1OpticalFlow, DualTVL1OpticalFlow_create
from mas_labels.flow.tvl1 import tvl1_flow

__all__ = ["DualTVL1OpticalFlow", "DualTVL1OpticalFlow_create", "tvl1_flow"]
