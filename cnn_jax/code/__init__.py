"""One's own code: which files it is, and the digest of what it computes. Nothing is run."""
