"""Changes to images inside jit: one image at a time (`augment`), whole batches (`mix`), several views of each
(`views`)."""
