"""The labelling run: from planned videos to finished shards, in many processes."""
