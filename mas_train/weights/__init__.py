"""Weights in files: checkpoints, backbones, public layouts, export."""
