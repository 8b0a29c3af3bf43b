"""Features and class scores of any videos, from files and shards alike, and pictures of what is near what.

`sources` yields the clips of videos and of shards, `outputs` computes what a network says of each, `layers`
names what a backbone gives; `options` are their options, `neighbours` draws.
"""
