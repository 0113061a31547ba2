"""Weights: the catalogue of released files, fetching and keeping them, and loading that never runs code."""
