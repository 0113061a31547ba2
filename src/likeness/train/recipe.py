"""Training recipes: YAML, validated before anything runs, with ``key=value`` overrides."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from likeness.degrade import RECIPES

CLEAN = "clean"  # a member of a mixture: the picture as it is (papers/001 eq. 2: f(x) = x)


class RecipeError(ValueError):
    """A recipe that cannot be run; the message is for people and names the key."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _finite(weights: dict[str, float]) -> dict[str, float]:
    if not all(0 <= w < math.inf for w in weights.values()):  # false for NaN too
        raise ValueError("weights must be finite and not negative")
    return weights


class DataConfig(_Strict):
    """Where pictures come from and how they are degraded on the fly."""

    sources: list[str] = Field(min_length=1, description="tar shards, folders or globs of 512x512 aligned faces")
    weights: dict[str, float] = Field(default_factory=dict, description="sampling weight by prefix of the file name")
    crop: int = Field(512, ge=64, le=512, multiple_of=32, description="side of the square trained on, pixels")
    mixture: dict[str, float] = Field(default={"idm": 1.0}, description="degradation recipe (or 'clean') to weight")
    jitter: float = Field(0.1, ge=0, le=0.5, description="random exposure and colour of the clean picture")
    misalign: float = Field(0.0, ge=0, le=1, description="probability of a slightly wrong alignment")
    tone: float = Field(0.0, ge=0, le=0.5, description="random contrast, saturation and gamma of the clean picture")
    occlude: float = Field(0.0, ge=0, le=1, description="probability of something before the face, in both pictures")
    age: float = Field(0.0, ge=0, le=1, description="probability of ageing as a print, but not of 'clean'")
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

    @field_validator("weights")
    @classmethod
    def _usable(cls, weights: dict[str, float]) -> dict[str, float]:
        return _finite(weights)


class ValidationConfig(_Strict):
    """Pictures that are restored from time to time."""

    sources: list[str] = Field(default_factory=list)
    count: int = Field(12, ge=1)
    recipe: str = "idm"
    every: int = Field(500, ge=1, description="steps")

    @field_validator("recipe")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in RECIPES:
            raise ValueError(f"unknown degradation {name!r}; known: {', '.join(RECIPES)}")
        return name


class OptimiserConfig(_Strict):
    """AdamW; the rate rises over ``warmup`` steps and falls linearly to zero over the last ``decay`` steps."""

    rate: float = Field(3e-4, gt=0)
    warmup: int = Field(100, ge=0)
    decay: int = Field(0, ge=0)
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(1.0, gt=0, description="maximum norm of the gradient")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights that are evaluated and shipped")


class DenoiseConfig(_Strict):
    """The built-in model's denoiser; see train/objectives/denoise.py."""

    name: Literal["denoise"] = "denoise"
    distortion: Literal["l1", "psnr"] = Field("l1", description="L1 as in papers/001, or PSNR itself")
    mean_share: float = Field(0.6, ge=0, le=1, description="share of samples trained at gamma = 0")
    identity: float = Field(0.0, ge=0, description="distance of identity features; whole frames only")


class SharpenConfig(_Strict):
    """Weights of the terms of the built-in model's sharpener; see train/objectives/sharpen.py."""

    name: Literal["sharpen"] = "sharpen"
    from_denoiser: bool = Field(False, description="a new run starts with the denoiser's weights in the sharpener")
    distortion: float = Field(0.15, ge=0, description="negative PSNR, in units of 10 dB")
    texture: float = Field(2.0, ge=0, description="local contrast, in three octaves")
    quantile: float = Field(0.5, gt=0, lt=1, description="of the plausible contrasts; more is rougher")
    grid: float = Field(4.0, ge=0, description="against a pattern of the network's 4x4 cells passing for texture")
    identity: float = Field(0.0, ge=0, description="distance of identity features; whole frames only")
    adversarial: float = Field(0.0, ge=0)
    feature_matching: float = Field(0.0, ge=0, description="counts only with an adversarial term")
    patch: int = Field(256, ge=64, multiple_of=16, description="side of the square the discriminator sees, pixels")
    fixed_point: float = Field(0.0, ge=0, description="f(f(x)) = f(x), papers/001 eq. 3")
    fixed_point_every: int = Field(4, ge=1, description="steps")
    discriminator_rate: float = Field(3e-4, gt=0)


class TrainRecipe(_Strict):
    """Everything a training run depends on. The checkpoint carries it."""

    method: Literal["likeness"] = "likeness"
    output: Path
    init: Path | None = Field(None, description="a checkpoint or .safetensors to start from")
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
    objective: DenoiseConfig | SharpenConfig = Field(DenoiseConfig(), discriminator="name")

    @field_validator("objective", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": "denoise", **value} if isinstance(value, dict) else value

    @field_validator("precision", mode="before")
    @classmethod
    def _no(cls, value: Any) -> Any:
        return "no" if value is False else value  # YAML 1.1 reads a plain no as false


def load_recipe(path: Path | str, overrides: Iterable[str] = ()) -> TrainRecipe:
    """Read a YAML recipe and apply overrides such as ``optimiser.rate=1e-4``.

    Raises RecipeError with one line per problem, naming the key.
    """
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"cannot read recipe {path}: {_one_line(error)}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"recipe {path} must be a mapping of keys to values")
    for override in overrides:
        _override(data, override)
    try:
        return TrainRecipe.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RecipeError(f"recipe {path}: {problems}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _override(data: dict[str, Any], text: str) -> None:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise RecipeError(f"an override looks like key=value, got {text!r}")
    *path, last = key.split(".")
    node = data
    for part in path:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise RecipeError(f"override {text!r}: {part} is not a group of keys")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"override {text!r}: {_one_line(error)}") from error
    node[last] = parsed
