"""``likeness train``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from likeness.cli.say import note, plain_errors, stop


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of one of ours.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="key=value...", help="For example optimiser.rate=1e-4.")
    ] = None,
) -> None:
    """Train a method by a recipe; continues exactly where a stopped run was."""
    try:
        from likeness.train.loop import train as run
    except ModuleNotFoundError as error:
        stop(f"training needs the package {error.name}: pip install 'likeness[train]'")
    from likeness.train.objectives.build import build_objective
    from likeness.train.recipe import load_recipe

    with plain_errors():
        settings = load_recipe(recipe, overrides or [])
        checkpoint = run(settings, build_objective(settings))
    note(f"trained; checkpoint {checkpoint}")
