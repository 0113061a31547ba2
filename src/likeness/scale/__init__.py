"""The pipeline on a Ray cluster: the same pictures as ``folder`` makes, by as many workers as there are."""
