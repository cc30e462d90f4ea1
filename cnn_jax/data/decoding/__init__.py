"""Image files on the host: read, decoded no further than the crop needs, in a pool of threads."""
