"""Weights: what we ship, where it is, and loading that never runs code from a file."""
