"""Before the start: what a run will cost, and whether this machine can do it."""
