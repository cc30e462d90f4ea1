"""Changes to images inside jit: one at a time (`augment`), whole batches (`mix`), several views of each (`views`)."""
