"""Plans: the shards that a folder will hold, the videos of each, and the workers that make them now."""
