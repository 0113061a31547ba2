"""Degradations: pure, seeded functions on float images, and the named recipes of the papers.

An image here is ``(H, W, 3)`` float32 RGB in [0, 1]. A recipe draws a list of concrete steps from a random
generator; applying the steps is deterministic, so a manifest of steps makes the same image again.
"""

from likeness.degrade.recipes import RECIPES, Recipe, get_recipe
from likeness.degrade.steps import OPERATIONS, Step, apply_steps

__all__ = ["OPERATIONS", "RECIPES", "Recipe", "Step", "apply_steps", "degrade", "get_recipe"]


def degrade(image, recipe: str = "idm", seed: int = 0):  # type: ignore[no-untyped-def]
    """Degrade ``image`` ((H, W, 3) float32 RGB in [0, 1]) by the recipe called ``recipe``.

    Returns ``(degraded, steps)``; ``degraded`` has the shape of ``image`` and ``steps`` are what was done.
    Raises KeyError for an unknown recipe.
    """
    import numpy as np

    steps = get_recipe(recipe).draw(np.random.default_rng(seed), image.shape[0], image.shape[1])
    return apply_steps(image, steps), steps
