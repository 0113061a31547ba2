"""From a recipe to the objectives of GFPGAN, CodeFormer and RestoreFormer; what a recipe lacks is said in one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from likeness.train.objectives.codeformer.settings import (
    CodeFormerCodebookConfig,
    CodeFormerFusionConfig,
    CodeFormerTransformerConfig,
)
from likeness.train.objectives.gfpgan.settings import GFPGANConfig
from likeness.train.objectives.restoreformer.settings import RestoreFormerDictionaryConfig, RestoreFormerRestoreConfig
from likeness.train.recipe import RecipeError, TrainRecipe

if TYPE_CHECKING:
    from likeness.train.identity import IdentityFeatures
    from likeness.train.objectives import Objective

STAGE_ONE = (
    "name the authors' vqgan_code1024.pth or a checkpoint of recipes/codeformer-1-codebook.yaml, whose encoder reads "
    "clean faces"
)


def gfpgan(recipe: TrainRecipe) -> Objective:
    """GFPGAN, fresh or from ``recipe.init``."""
    from likeness.train.objectives.gfpgan.objective import GFPGANObjective
    from likeness.train.objectives.perceptual import perceptual_for

    config = recipe.objective
    assert isinstance(config, GFPGANConfig)
    _whole(recipe)
    if recipe.init is None:
        _same_size(recipe, config.network.size)
        if config.fixed_decoder:
            raise RecipeError("objective.fixed_decoder keeps the decoder of init: name one, or set it to false")
    vgg = perceptual_for(max(config.perceptual, config.style), config.vgg)
    return GFPGANObjective(config, recipe.data.size, vgg, _identity(config.identity))


def codebook(recipe: TrainRecipe) -> Objective:
    """CodeFormer's stage I."""
    from likeness.train.objectives.codeformer.codebook import CodebookObjective
    from likeness.train.objectives.perceptual import perceptual_for

    config = recipe.objective
    assert isinstance(config, CodeFormerCodebookConfig)
    _whole(recipe)
    if recipe.init is None:
        _same_size(recipe, config.network.size)
    return CodebookObjective(config, recipe.data.size, perceptual_for(config.perceptual, config.vgg))


def transformer(recipe: TrainRecipe) -> Objective:
    """CodeFormer's stage II."""
    from likeness.train.objectives.codeformer.transformer import TransformerObjective

    config = recipe.objective
    assert isinstance(config, CodeFormerTransformerConfig)
    _whole(recipe)
    source, hq = _source(recipe), _clean_encoder(recipe, config.hq)
    return TransformerObjective(config, recipe.data.size, source, hq)


def fusion(recipe: TrainRecipe) -> Objective:
    """CodeFormer's stage III."""
    from likeness.train.objectives.codeformer.fusion import FusionObjective
    from likeness.train.objectives.perceptual import perceptual_for

    config = recipe.objective
    assert isinstance(config, CodeFormerFusionConfig)
    _whole(recipe)
    source, hq = _source(recipe), _clean_encoder(recipe, config.hq) if config.needs_hq else None
    vgg = perceptual_for(config.perceptual, config.vgg)
    return FusionObjective(config, recipe.data.size, source, hq, vgg)


def dictionary(recipe: TrainRecipe) -> Objective:
    """RestoreFormer's first stage."""
    from likeness.train.objectives.perceptual import perceptual_for
    from likeness.train.objectives.restoreformer.dictionary import DictionaryObjective

    config = recipe.objective
    assert isinstance(config, RestoreFormerDictionaryConfig)
    return DictionaryObjective(config, perceptual_for(config.perceptual, config.vgg))


def restore(recipe: TrainRecipe) -> Objective:
    """RestoreFormer's second stage."""
    from likeness.train.objectives.perceptual import perceptual_for
    from likeness.train.objectives.restoreformer.restore import RestoreObjective

    config = recipe.objective
    assert isinstance(config, RestoreFormerRestoreConfig)
    if config.component or config.component_style or config.identity:
        _whole(recipe, "objective.component, component_style and identity")
    if recipe.init is None and config.fixed_dictionary:
        raise RecipeError("objective.fixed_dictionary keeps the codes of init: name one, or set it to false")
    return RestoreObjective(config, perceptual_for(config.perceptual, config.vgg), _identity(config.identity))


def _whole(recipe: TrainRecipe, why: str | None = None) -> None:
    size = recipe.data.size
    if recipe.data.crop != size:
        raise RecipeError(f"{why or recipe.objective.name} wants whole faces: set data.crop to data.size, {size}")


def _same_size(recipe: TrainRecipe, size: int) -> None:
    if recipe.data.size != size:
        raise RecipeError(f"objective.network.size is {size}, but data.size {recipe.data.size}")


def _identity(weight: float) -> IdentityFeatures | None:
    from likeness.train.identity import IdentityFeatures

    return IdentityFeatures() if weight else None


def _source(recipe: TrainRecipe) -> Path:
    """The run's own checkpoint, else ``init``: what this stage goes on from."""
    from likeness.train.checkpoint import LAST, find_init

    last = recipe.output / LAST
    source = last if last.exists() else find_init(recipe.init)
    if source is None:
        raise RecipeError(f"{recipe.objective.name} goes on from other weights: set init")
    return source


def _clean_encoder(recipe: TrainRecipe, named: Path | None) -> Path:
    """Where the weights of CodeFormer's stage I are: where the recipe says, else ``init`` if that is stage I's."""
    from likeness.train.checkpoint import find_init, is_training_checkpoint, load_checkpoint

    if named is not None:
        if not named.is_file():
            raise RecipeError(f"objective.hq: {named} is not there; {STAGE_ONE}")
        return named
    init = find_init(recipe.init)
    if init is not None and is_training_checkpoint(init):
        objective = load_checkpoint(init)["recipe"].get("objective", {})
        if objective.get("name") == CodeFormerCodebookConfig.model_fields["name"].default:
            return init
    raise RecipeError(f"objective.hq is not set, and init is not stage I of {recipe.objective.method}: {STAGE_ONE}")
