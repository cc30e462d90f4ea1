"""The commands of studies, and what their processes show."""
