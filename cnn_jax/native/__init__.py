"""Convolution in C++ for CPUs, as XLA calls it: compiled on the machine where it is first used."""
