"""Prepared sets on the disk: TFDS array_record folders below a root, and plain arrays beside the records."""
