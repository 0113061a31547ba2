"""From a recipe to its objective."""

from __future__ import annotations

from collections.abc import Callable

import torch

from likeness.train.objectives import Objective, published
from likeness.train.objectives.estimator.settings import DifFaceEstimatorConfig
from likeness.train.objectives.flow.settings import PMRFFlowConfig, PMRFMeanConfig
from likeness.train.objectives.idm.settings import IDMConfig
from likeness.train.objectives.rdfr.settings import RDFRConfig
from likeness.train.objectives.settings import DenoiseConfig, SharpenConfig
from likeness.train.recipe import RecipeError, TrainRecipe


def build_objective(recipe: TrainRecipe, seed: int | None = None) -> Objective:
    """The objective that the recipe names, with fresh weights. Raises RecipeError when the data cannot serve it.

    ``seed``: of the fresh weights; the recipe's by default, so that every process begins with the same.
    """
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed if seed is None else seed)
        return OBJECTIVES[recipe.objective.name](recipe)


def whole_faces(recipe: TrainRecipe, why: str) -> None:
    """Raises RecipeError, naming ``why``, unless the recipe trains on whole faces of 512 pixels."""
    if recipe.data.crop != 512:
        raise RecipeError(f"{why} looks at whole faces: set data.crop to 512")


def _denoise(recipe: TrainRecipe) -> Objective:
    from likeness.train.identity import IdentityFeatures
    from likeness.train.objectives.denoise import DenoiseObjective

    assert isinstance(recipe.objective, DenoiseConfig)
    if recipe.objective.identity:
        whole_faces(recipe, "objective.identity")
    return DenoiseObjective(recipe.objective, IdentityFeatures() if recipe.objective.identity else None)


def _sharpen(recipe: TrainRecipe) -> Objective:
    from likeness.train.identity import IdentityFeatures
    from likeness.train.objectives.sharpen import SharpenObjective

    assert isinstance(recipe.objective, SharpenConfig)
    if recipe.objective.identity:
        whole_faces(recipe, "objective.identity")
    return SharpenObjective(recipe.objective, IdentityFeatures() if recipe.objective.identity else None)


def _rdfr(recipe: TrainRecipe) -> Objective:
    from likeness.train.objectives.perceptual import perceptual_for
    from likeness.train.objectives.rdfr.objective import RDFRObjective

    config = recipe.objective
    assert isinstance(config, RDFRConfig)
    if recipe.data.crop != recipe.data.size:
        raise RecipeError(f"rdfr looks at whole faces: set data.crop to data.size, {recipe.data.size}")
    if recipe.init is None and recipe.data.size != config.network.size:  # else the file's size counts
        raise RecipeError(f"objective.network.size is {config.network.size}, but data.size {recipe.data.size}")
    return RDFRObjective(config, perceptual_for(config.perceptual, config.vgg))


def _idm(recipe: TrainRecipe) -> Objective:
    from likeness.train.objectives.idm.objective import IDMObjective

    config = recipe.objective
    assert isinstance(config, IDMConfig)
    if recipe.init is None:
        _divides(recipe, config.network.factor)
    return IDMObjective(config)


def _estimator(recipe: TrainRecipe) -> Objective:
    from likeness.train.objectives.estimator.objective import EstimatorObjective

    config = recipe.objective
    assert isinstance(config, DifFaceEstimatorConfig | PMRFMeanConfig)
    if recipe.init is None:
        sizes = config.network if isinstance(config, DifFaceEstimatorConfig) else config.network.mean
        _divides(recipe, sizes.scale * sizes.window)
    return EstimatorObjective(config)


def _flow(recipe: TrainRecipe) -> Objective:
    from likeness.train.objectives.flow.objective import FlowObjective

    config = recipe.objective
    assert isinstance(config, PMRFFlowConfig)
    if recipe.init is None:
        _divides(recipe, config.network.mean.scale * config.network.mean.window)
    return FlowObjective(config)


def _divides(recipe: TrainRecipe, factor: int) -> None:
    if recipe.data.crop % factor:
        raise RecipeError(f"data.crop must be a multiple of {factor} for this network, got {recipe.data.crop}")


OBJECTIVES: dict[str, Callable[[TrainRecipe], Objective]] = {
    "denoise": _denoise,
    "sharpen": _sharpen,
    "rdfr": _rdfr,
    "idm": _idm,
    "difface-estimator": _estimator,
    "pmrf-mean": _estimator,
    "pmrf-flow": _flow,
    "gfpgan": published.gfpgan,
    "codeformer-codebook": published.codebook,
    "codeformer-transformer": published.transformer,
    "codeformer-fusion": published.fusion,
    "restoreformer-dictionary": published.dictionary,
    "restoreformer-restore": published.restore,
}
