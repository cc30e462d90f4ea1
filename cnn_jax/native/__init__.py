"""Layers in C++ for CPUs, as XLA calls them, compiled on the machine where they are first used."""
