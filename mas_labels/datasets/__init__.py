"""Finds the videos of a data set, with their classes and splits, from a folder and a manifest.

To be read in this order: `folder` (the files), `manifest` (the YAML file), `path_match` (classes and groups
from paths), `splits`, `classes`, `listing` (the result); `find_videos` puts them together.
"""
