"""The labelling run: planned videos to finished shards, in many processes."""
