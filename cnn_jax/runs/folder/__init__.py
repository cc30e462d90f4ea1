"""The files of a run folder: its configuration and record, its metrics and events, its checkpoints, its lock."""
