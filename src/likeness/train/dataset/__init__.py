"""Making a training set of one's own photographs: ``align``, ``filter``, ``split`` by person, ``pack`` into shards.

Each step reads the folder that the one before wrote and leaves its input alone. A step first measures and remembers
(``.likeness`` in its output), then decides about the whole set, then writes: so a kill loses no more than what was
being measured, the order of threads does not show, and other limits on the same photos cost seconds.
"""
