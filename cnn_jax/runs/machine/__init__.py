"""The machine that a run computes on: what of it is recorded, what is pinned, and how several processes agree."""
