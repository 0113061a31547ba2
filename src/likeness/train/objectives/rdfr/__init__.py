"""RDFR from scratch or from a file of ours (papers/003, section 3.3)."""
