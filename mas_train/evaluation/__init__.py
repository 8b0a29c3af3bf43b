"""The protocols of the paper's section 4, one file each.

`features` computes features of videos, which every protocol begins with; `accuracy`, `retrieval`, `probe`,
`aslan` (with `aslan_pairs`), `yupenn` and `attention` are the protocols, each read from its features to its
figures, picture and result; `protocol` and `linear` hold what they share; `intervals` says how sure a figure
is; `results`, `tables` and `published` show results next to the published figures; `run_pictures` draws for
the page about a run, with the map of `feature_map`.
"""
