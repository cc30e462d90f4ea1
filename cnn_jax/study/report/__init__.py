"""A study, a run, or any set of runs on one page that reads without a network."""
