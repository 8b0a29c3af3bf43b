"""A folder and a manifest to the videos of a data set, with their classes and splits."""
