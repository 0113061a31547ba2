"""PMRF as it is used: the released files, and the flow from the posterior mean to the restored face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from likeness.diffusion import euler_flow, seeded_noise
from likeness.methods.one_pass import OnePass, Options
from likeness.methods.pmrf.card import CARD
from likeness.methods.pmrf.network import FlowConfig, FlowNetwork, NetworkConfig, PMRFNet
from likeness.methods.progress import tell
from likeness.nets.swinir import read_swinir_config
from likeness.weights.errors import WeightsError

FLOW, MEAN = "model.", "mmse_model."
METRICS = ("fid.", "inception_score.")  # networks that only measured the training


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Both networks' tensors: the file itself (hub), or its "state_dict" (Lightning), without the metrics' networks.

    A Lightning file also holds averaged weights of the flow network, which stand in for those of "state_dict" as in
    the official script. Raises WeightsError when they do not fit.
    """
    nested = checkpoint.get("state_dict")
    held = nested if isinstance(nested, Mapping) else checkpoint
    tensors = {
        key: value
        for key, value in held.items()
        if isinstance(key, str) and isinstance(value, Tensor) and not key.startswith(METRICS)
    }
    average, config = checkpoint.get("ema"), read_flow_config(below(tensors, FLOW))
    if isinstance(average, Mapping) and config is not None:
        tensors |= averaged(config, tensors, average.get("shadow_params"))
    return tensors


def averaged(config: FlowConfig, tensors: Mapping[str, Tensor], shadow: Any) -> dict[str, Tensor]:
    """The averaged weights by name: ``shadow`` lists them in the order of the network's parameters."""
    with torch.device("meta"):
        names = [FLOW + name for name, _ in FlowNetwork(config).named_parameters()]
    if not isinstance(shadow, Sequence) or len(shadow) != len(names):
        raise WeightsError(f"its averaged weights (ema) are not the {len(names)} parameters of PMRF's flow network")
    for name, value in zip(names, shadow, strict=True):
        if not isinstance(value, Tensor) or name not in tensors or value.shape != tensors[name].shape:
            raise WeightsError(f"its averaged weights (ema) do not fit PMRF's flow network at {name}")
    return dict(zip(names, shadow, strict=True))


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose keys begin with ``prefix``, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def read_flow_config(tensors: Mapping[str, Tensor]) -> FlowConfig | None:
    """The sizes of the flow network of these tensors; None when they are of another."""
    levels = [f"down_levels.{level}." for level in range(_count(tensors, "down_levels."))] + ["mid_level."]
    patch, mapping, first = "patch_in.proj.weight", "time_in_proj.weight", "mapping.blocks.0.down_proj.weight"
    hidden, scale = "0.ff.down_proj.weight", "0.self_attn.scale"
    needed = [patch, mapping, first, *(level + key for level in levels for key in (hidden, scale))]
    if any(key not in tensors for key in needed) or any(tensors[key].ndim != 2 for key in (patch, mapping, first)):
        return None
    shapes = [tensors[level + hidden].shape for level in levels]
    heads = [tensors[level + scale].numel() for level in levels]
    if any(len(shape) != 2 or not n or shape[0] % (8 * n) for shape, n in zip(shapes, heads, strict=True)):
        return None
    return FlowConfig(
        widths=tuple(shape[0] for shape in shapes),
        depths=tuple(_count(tensors, level) for level in levels),
        heads=tuple(heads),
        feedforward=tuple(shape[1] for shape in shapes),
        patch=round((tensors[patch].shape[1] / 3) ** 0.5),
        mapping_width=tensors[mapping].shape[0],
        mapping_depth=_count(tensors, "mapping.blocks."),
        mapping_feedforward=tensors[first].shape[1],
    )


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """How many modules there are in the list ``prefix``."""
    return len({key[len(prefix) :].split(".")[0] for key in tensors if key.startswith(prefix)})


def read_config(tensors: Mapping[str, Tensor]) -> NetworkConfig | None:
    """The sizes of both networks of these tensors; None when they are of others."""
    flow, mean = read_flow_config(below(tensors, FLOW)), read_swinir_config(below(tensors, MEAN))
    return None if flow is None or mean is None else NetworkConfig(flow, mean)


def recognise(tensors: Mapping[str, Tensor]) -> nn.Module | None:
    """The networks of these tensors."""
    config = read_config(tensors)
    return None if config is None else PMRFNet(config)


def run(net: nn.Module, x: Tensor, options: Options, seed: int) -> Tensor:
    """(B, 3, H, W) RGB in [-1, 1] -> restored. Every picture of the batch gets the noise of ``seed``."""
    assert isinstance(net, PMRFNet)
    z = posterior_mean(net, (x + 1) / 2)
    if steps := int(options["steps"]):
        noise = seeded_noise(x.shape[1:], [seed] * len(x), x.device)()
        z = follow(net, z + float(options["noise"]) * noise, steps)
    return z * 2 - 1


def posterior_mean(net: PMRFNet, y: Tensor) -> Tensor:
    """The mean of the clean pictures that ``y`` (B, 3, H, W) in [0, 1] may show, in [0, 1]."""
    return net.mmse_model(y).to(y.dtype).clamp(0, 1)  # type: ignore[no-any-return]


def follow(net: PMRFNet, z: Tensor, steps: int) -> Tensor:
    """The flow from the noisy posterior mean ``z`` (B, 3, H, W) to the picture, in [0, 1] but not clipped."""
    done = 0

    def velocity(x: Tensor, t: float) -> Tensor:
        nonlocal done
        v = net.model(x, x.new_full((len(x),), t))
        done += 1
        tell(done, steps)
        return v  # type: ignore[no-any-return]

    return euler_flow(velocity, z, steps)


METHOD = OnePass(CARD, unpack, recognise, run, one_call=False)
