"""Does restoration help or hurt face recognition: the study of papers/000, sections 5-6, on any data.

Layouts say which pictures are probes and which the gallery; ``run`` restores the probes, compares them with the gallery
before and after, and writes the tables and the page.
"""
