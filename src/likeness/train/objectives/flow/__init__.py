"""PMRF in two stages: the posterior mean (``pmrf-mean``), then the flow from it (``pmrf-flow``)."""
