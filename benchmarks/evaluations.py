"""What one evaluation of each network is, for ``networks.py``: how to build it and how to call it for one face."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from likeness.methods import METHODS, card, networks
from likeness.methods.one_pass import OnePass

Call = Callable[[nn.Module, Tensor], Tensor]
SIDE = 512


def one_pass_methods() -> list[str]:
    """The methods whose restoration is one call."""
    return [name for name in METHODS if name != "likeness" and card(name).kind == "one pass" and not card(name).needs]


def one_pass(method: str, role: str) -> tuple[nn.Module, Call]:
    """The network as its method runs it, from (1, 3, 512, 512) in [-1, 1]."""
    nets, options = networks(method), card(method).choose({})
    its = importlib.import_module(METHODS[method]).method()
    assert isinstance(its, OnePass)
    net = nets[role]
    if method == "psfrgan":
        from likeness.methods.psfrgan.restorer import PSFRGAN

        net = PSFRGAN(nets["net"], nets["parse"])  # type: ignore[arg-type]
    return net, lambda model, x: its.run(model, x, options, 0)


def dfdnet() -> tuple[nn.Module, Call]:
    """With made-up dictionaries of five entries and the places of a face in the 512 frame."""
    from likeness.methods.dfdnet.dictionary import SCALES, Dictionary, entry_side
    from likeness.methods.dfdnet.landmarks import PARTS

    draw = torch.Generator().manual_seed(0)
    entries = {
        (part, size): torch.randn(5, 64 * min(SIDE // size, 8), *[entry_side(part, size)] * 2, generator=draw)
        for part in PARTS
        for size in SCALES
    }
    places = {"left_eye": (153, 200), "right_eye": (279, 200), "nose": (231, 265), "mouth": (201, 316)}
    boxes: Any = [
        {part: (x, y, x + entry_side(part, SIDE), y + entry_side(part, SIDE)) for part, (x, y) in places.items()}
    ]
    dictionary = Dictionary(entries)
    return networks("dfdnet")["net"], lambda net, x: net(x, boxes, dictionary)


def small(x: Tensor) -> Tensor:
    return x[..., ::2, ::2]


def at(x: Tensor, time: float) -> Tensor:
    return x.new_full((len(x),), time)


ITERATING: dict[str, tuple[str, str, Call]] = {
    "difface, SwinIR estimate": ("difface", "swinir", lambda net, x: net((x + 1) / 2)),
    "difface, a step of 100": ("difface", "unet", lambda net, x: net(x, at(x, 396))),
    "difface-inpainting, LaMa estimate (256)": (
        "difface-inpainting",
        "lama",
        lambda net, x: net(torch.cat([(small(x) + 1) / 2, small(x)[:, :1] * 0], dim=1)),
    ),
    "difface-inpainting, a step of 120 (256)": ("difface-inpainting", "unet", lambda net, x: net(small(x), at(x, 396))),
    "pmrf, SwinIR posterior mean": ("pmrf", "pmrf", lambda net, x: net.mmse_model((x + 1) / 2)),
    "pmrf, a step of 25": ("pmrf", "pmrf", lambda net, x: net.model((x + 1) / 2, at(x, 0.4))),
    "idm, a step of 10": ("idm", "unet", lambda net, x: net(torch.cat([x, x], dim=1), at(x, 400))),
}


def find(name: str) -> tuple[nn.Module, Call]:
    """The network and the call behind a name of ``names``."""
    if name in ITERATING:
        method, role, call = ITERATING[name]
        return networks(method)[role], call
    method, _, role = name.partition(" ")
    return dfdnet() if method == "dfdnet" else one_pass(method, role)


def names() -> list[str]:
    """Everything that can be measured."""
    found = [f"{m} {role}" for m in one_pass_methods() for role in networks(m) if role != "parse"]
    return [*found, "dfdnet net", *ITERATING]
