"""Training recipes: YAML, validated before anything runs, with ``key=value`` overrides."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from likeness.degrade import RECIPES
from likeness.train.objectives.settings import DenoiseConfig, ObjectiveConfig
from likeness.train.strict import Strict

CLEAN = "clean"  # a member of a mixture: the picture as it is (papers/001 eq. 2: f(x) = x)


class RecipeError(ValueError):
    """A recipe that cannot be run; the message is for people and names the key."""


def _finite(weights: dict[str, float]) -> dict[str, float]:
    if not all(0 <= w < math.inf for w in weights.values()):  # false for NaN too
        raise ValueError("weights must be finite and not negative")
    return weights


class DataConfig(Strict):
    """Where pictures come from and how they are degraded on the fly."""

    sources: list[str] = Field(min_length=1, description="tar shards, folders or globs of 512x512 aligned faces")
    weights: dict[str, float] = Field(default_factory=dict, description="sampling weight by prefix of the file name")
    size: Literal[64, 128, 256, 512] = Field(512, description="side that pairs are reduced to, pixels")
    crop: int = Field(512, ge=64, le=512, multiple_of=32, description="side of the square trained on, of that size")
    mixture: dict[str, float] = Field(default={"idm": 1.0}, description="degradation recipe (or 'clean') to weight")
    jitter: float = Field(0.1, ge=0, le=0.5, description="random exposure and colour of the clean picture")
    misalign: float = Field(0.0, ge=0, le=1, description="probability of a slightly wrong alignment")
    tone: float = Field(0.0, ge=0, le=0.5, description="random contrast, saturation and gamma of the clean picture")
    occlude: float = Field(0.0, ge=0, le=1, description="probability of something before the face, in both pictures")
    lend: float = Field(0.0, ge=0, le=1, description="probability of another face's eyes, brows, nose or mouth")
    eyes: float = Field(0.0, ge=0, le=1, description="probability of irises of another colour, or with lamps in them")
    warp: float = Field(0.0, ge=0, le=20, description="other proportions: a smooth random field's shift, pixels")
    crisp: float = Field(0.0, ge=0, le=3, description="up to how much of an unsharp mask the clean picture gets")
    age: float = Field(0.0, ge=0, le=1, description="probability of ageing as a print, but not of 'clean'")
    targets: Path | None = Field(
        None,
        description="a folder or shard of dataset refine: the target of a picture is the refined one of the same name, "
        "where there is one (papers/001, eq. 10); the input is degraded from the original all the same",
    )
    replace: float = Field(1.0, ge=0, le=1, description="share of the pictures with a refined target that have it")
    coupling: int = Field(
        0, ge=0, description="steps over which that share rises from none (papers/001, section 3.3); 0: all at once"
    )
    cache: Path | None = Field(None, description="decoded pictures are kept in this .npy file")
    workers: int = Field(1, ge=0, le=64)

    @field_validator("mixture")
    @classmethod
    def _known(cls, mixture: dict[str, float]) -> dict[str, float]:
        unknown = [name for name in mixture if name not in RECIPES and name != CLEAN]
        if unknown:
            raise ValueError(f"unknown degradation {unknown[0]!r}; known: {CLEAN}, {', '.join(RECIPES)}")
        if not sum(_finite(mixture).values()) > 0:
            raise ValueError("the sum of the weights must be positive")
        return mixture

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, given: Any) -> Any:
        """Without a word about the crop it is the whole face."""
        return {"crop": given["size"], **given} if isinstance(given, dict) and "size" in given else given

    @model_validator(mode="after")
    def _fits(self) -> DataConfig:
        if self.crop > self.size:
            raise ValueError(f"crop must be at most size ({self.size}), got {self.crop}")
        if self.targets is None and (self.replace != 1 or self.coupling):
            raise ValueError("replace and coupling are of targets: name the refined pictures in targets")
        return self

    @field_validator("weights")
    @classmethod
    def _usable(cls, weights: dict[str, float]) -> dict[str, float]:
        return _finite(weights)


class ValidationConfig(Strict):
    """Pictures that are restored from time to time."""

    sources: list[str] = Field(default_factory=list)
    count: int = Field(12, ge=1)
    recipe: str = "idm"
    every: int = Field(500, ge=1, description="steps")
    identity: bool = Field(True, description="whether faces are compared with dlib's recogniser")
    authentic: bool = Field(True, description="whether clean pictures are restored, and restored again")

    @field_validator("recipe")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in RECIPES:
            raise ValueError(f"unknown degradation {name!r}; known: {', '.join(RECIPES)}")
        return name


class OptimiserConfig(Strict):
    """The rate rises over ``warmup`` steps and falls linearly to zero over the last ``decay`` steps."""

    name: Literal["adamw", "muon"] = Field("adamw", description="muon: the generator's matrices by train/muon.py")
    rate: float = Field(3e-4, gt=0)
    warmup: int = Field(100, ge=0)
    decay: int = Field(0, ge=0)
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(1.0, gt=0, description="maximum norm of the gradient")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights that are evaluated and shipped")


class TrainRecipe(Strict):
    """Everything a training run depends on. The checkpoint carries it."""

    method: str = "likeness"
    output: Path
    init: str | None = Field(None, description="a checkpoint, a .safetensors, or weights by their catalogue's name")
    steps: int = Field(ge=1)
    batch: int = Field(8, ge=1)
    seed: int = Field(0, ge=0)
    precision: Literal["no", "bf16", "fp16"] = "bf16"
    compile: bool = False
    save_every: int = Field(200, ge=1)
    log_every: int = Field(20, ge=1)
    data: DataConfig
    validation: ValidationConfig = ValidationConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    objective: ObjectiveConfig = Field(DenoiseConfig(), discriminator="name")

    @field_validator("objective", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": "denoise", **value} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _fits(self) -> TrainRecipe:
        if self.method != self.objective.method:
            raise ValueError(
                f"method is {self.method}, but objective {self.objective.name!r} trains {self.objective.method}"
            )
        return self

    @field_validator("precision", mode="before")
    @classmethod
    def _no(cls, value: Any) -> Any:
        return "no" if value is False else value  # YAML 1.1 reads a plain no as false


def find_recipe(name: Path | str) -> Path:
    """The file ``name``, or else the one of the recipes that come with Likeness: ``smoke-idm``.

    Raises RecipeError that lists them.
    """
    path = Path(name)
    if path.exists() or path.suffix:
        return path
    package = Path(__file__).parents[1]
    folders = [package / "recipes", package.parents[1] / "recipes"]  # installed; of a checkout
    known = {file.stem: file for folder in folders for file in sorted(folder.glob("*.yaml"))}
    if path.name not in known or len(path.parts) > 1:
        raise RecipeError(f"there is no recipe {name}: name a YAML file, or one of {', '.join(known)}")
    return known[path.name]


def load_recipe(path: Path | str, overrides: Iterable[str] = ()) -> TrainRecipe:
    """Read a YAML recipe and apply overrides such as ``optimiser.rate=1e-4``; ``data=DIR`` means data.sources.

    ``path`` as for ``find_recipe``. Raises RecipeError with one line per problem, naming the key.
    """
    path = find_recipe(path)
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read recipe {path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"cannot read recipe {path}: {_one_line(error)}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"recipe {path} must be a mapping of keys to values")
    for override in overrides:
        _override(data, override)
    try:
        return TrainRecipe.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"]))) for e in error.errors())
        raise RecipeError(f"recipe {path}: {problems}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _override(data: dict[str, Any], text: str) -> None:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise RecipeError(f"an override looks like key=value, got {text!r}")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"override {text!r}: {_one_line(error)}") from error
    if key == "data" and isinstance(parsed, str):
        key, parsed = "data.sources", [parsed]
    *path, last = key.split(".")
    node = data
    for part in path:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise RecipeError(f"override {text!r}: {part} is not a group of keys")
    node[last] = parsed
