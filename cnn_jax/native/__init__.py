"""Convolution, batch normalisation and the gradient of max pooling in C++ for CPUs, as XLA calls them: compiled on the machine where it is first used."""
