"""Studies: many runs of one question, and what may be said of them."""
