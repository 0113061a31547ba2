"""Posterior means by regression: DifFace's estimator and PMRF's first network."""
