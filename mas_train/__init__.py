"""Training of video representations from shards of statistical labels (Wang et al., CVPR 2019).

Importing this package imports no torch; its modules do.
"""
