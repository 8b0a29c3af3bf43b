"""The flow of whole data sets: from videos, folders, lists or a manifest to files, in many processes."""
