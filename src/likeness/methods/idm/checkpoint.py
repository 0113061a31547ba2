"""Checkpoints of IDM. No weights are published, so this is the format of our own training's files:

``{"state_dict": tensors, "config": plain data}``, or a .safetensors file whose metadata have "config" in JSON. Config:

- "prediction": "x0" or "eps", what the network gives;
- "schedule": the noise of the training: {"kind": "linear" or "scaled_linear", "first": 1e-4, "last": 2e-2,
  "steps": 1000} or {"kind": "betas", "values": [...]};
- "conditioning" (may be left out: the keys tell): "t" or "gamma";
- "norm_groups": the groups of the norms of an SR3 network, of which its shapes say nothing.

A bare state dict of Ho's network means: predicts x0 (papers/001, section 3.2), Ho's linear schedule of 1000 steps.

Generator files of the open SR3 implementation: keys under ``denoise_fn.``, and ``betas`` beside them give the schedule;
the network predicts eps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from torch import Tensor

from likeness.diffusion import Schedule
from likeness.methods.idm.card import CARD
from likeness.methods.idm.ddpm_unet import DDPMConfig
from likeness.methods.idm.network import Denoiser, build, read_sizes, recognise
from likeness.methods.idm.sr3_unet import GROUPS, SR3Config
from likeness.methods.released import Released
from likeness.weights.checkpoint import fill_strict, read_checkpoint
from likeness.weights.errors import WeightsError

PREFIX = "denoise_fn."
BARE = {"prediction": "x0", "schedule": {"kind": "linear", "first": 1e-4, "last": 2e-2, "steps": 1000}}
FIELDS = {"prediction", "schedule", "conditioning", "norm_groups"}
LONGEST = 100_000  # steps of a schedule; a file that asks for more is damaged


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The network's tensors: under "state_dict" in ours, under ``denoise_fn.`` in SR3's; a flat mapping passes."""
    nested = checkpoint.get("state_dict")
    held = nested if isinstance(nested, Mapping) else checkpoint
    tensors = {key: value for key, value in held.items() if isinstance(value, Tensor)}
    if not any(key.startswith(PREFIX) for key in tensors):
        return tensors
    return {key.removeprefix(PREFIX): value for key, value in tensors.items() if key.startswith(PREFIX)}


def read_denoiser(path: Path) -> Denoiser:
    """The network of the file ``path``, filled, with what the file says it was trained for. Raises WeightsError."""
    checkpoint = read_checkpoint(path)
    tensors = unpack(checkpoint)
    sizes = read_sizes(tensors)
    if sizes is None:
        raise WeightsError(f"{path} holds no weights of {CARD.name}")
    config = read_config(checkpoint, sizes, path)
    if config["prediction"] not in ("x0", "eps"):
        raise WeightsError(f"{path}: prediction must be x0 or eps, not {config['prediction']!r}")
    schedule = read_schedule(config["schedule"], path)
    if isinstance(sizes, SR3Config):
        sizes = replace(sizes, norm_groups=_groups(config.get("norm_groups"), sizes, path))
    net = build(sizes)
    if config.get("conditioning", net.conditioning) != net.conditioning:
        raise WeightsError(
            f"{path}: conditioning is {config['conditioning']!r}, but its keys are for {net.conditioning}"
        )
    fill_strict(net, tensors, str(path))
    return Denoiser(net, config["prediction"], schedule)


def read_config(checkpoint: Mapping[str, Any], sizes: DDPMConfig | SR3Config, path: Path) -> dict[str, Any]:
    """What ``checkpoint``, read from ``path``, was trained for: the fields named above. Raises WeightsError."""
    config = checkpoint.get("config", _of_metadata(path))
    if config is not None:
        if not isinstance(config, Mapping) or not {"prediction", "schedule"} <= config.keys() <= FIELDS:
            raise WeightsError(
                f"{path}: its config must give prediction and schedule, and may give conditioning and norm_groups"
            )
        return dict(config)
    betas = checkpoint.get("betas")
    if isinstance(sizes, DDPMConfig):
        return dict(BARE)
    if not isinstance(betas, Tensor) or betas.ndim != 1:
        raise WeightsError(f"{path} holds an SR3 network, but neither its betas nor a config: how it was trained")
    return {"prediction": "eps", "schedule": {"kind": "betas", "values": betas.double().tolist()}}


def _of_metadata(path: Path) -> Any:
    """The config in the metadata of a .safetensors file; None when it has no metadata, or is of another format."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
    except SafetensorError:
        return None
    if metadata is None or metadata.keys() <= {"format"}:
        return None
    try:
        return json.loads(metadata["config"])
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path}: its metadata do not say in config how it was trained") from error


def read_schedule(facts: Any, path: Path) -> Schedule:
    """The noise schedule of a config. Raises WeightsError with the name of the file."""
    kinds = {"linear": Schedule.linear, "scaled_linear": Schedule.scaled_linear}
    try:
        if facts["kind"] == "betas":
            return Schedule.from_betas(np.array(facts["values"], np.float64))
        steps = int(facts["steps"])
        if not 1 <= steps <= LONGEST:
            raise ValueError(f"steps must be in [1, {LONGEST}], got {steps}")
        return kinds[facts["kind"]](float(facts["first"]), float(facts["last"]), steps)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise WeightsError(f"{path}: its config has no valid noise schedule ({error})") from error


def _groups(given: Any, sizes: SR3Config, path: Path) -> int:
    if given is None and (sizes.inner_channel, sizes.channel_mults) == (64, SR3Config().channel_mults):
        return GROUPS
    if type(given) is not int or given < 1 or sizes.inner_channel % given:
        raise WeightsError(
            f"{path}: an SR3 network of these sizes needs norm_groups in its config, a divisor of "
            f"{sizes.inner_channel}; got {given!r}"
        )
    return given


def facts(path: Path, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What a clean copy of the file must say in its config. Raises WeightsError."""
    sizes = read_sizes(unpack(checkpoint))
    if sizes is None:
        raise WeightsError(f"{path} holds no weights of {CARD.name}")
    config = read_config(checkpoint, sizes, path)
    if isinstance(sizes, SR3Config):
        config["norm_groups"] = _groups(config.get("norm_groups"), sizes, path)
    return config


METHOD = Released(CARD, unpack, recognise, facts=facts)
