"""Where a run begins: with drawn parameters, with weights learned before, or with the whole state of another run."""
