"""The paper's section 4: features of videos, and one file a protocol.

`accuracy`, `retrieval`, `aslan`, `yupenn` and `attention` are pure functions of arrays; `features` makes the
arrays, once, from a checkpoint and shards; `published` holds the numbers to compare with.
"""
