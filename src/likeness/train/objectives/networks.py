"""What objectives do with networks: keep one frozen for a while, and see through the compiler's wrapper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import nn

N = TypeVar("N", bound=nn.Module)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within it no parameter of ``module`` gets a gradient; gradients still pass through it."""
    learning = [p for p in module.parameters() if p.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def plain(network: nn.Module, kind: type[N]) -> N:
    """``network`` without torch.compile's wrapper, as what it is."""
    bare = getattr(network, "_orig_mod", network)
    assert isinstance(bare, kind)
    return bare


def judge(discriminators: nn.Module | None, name: str, kind: type[N]) -> N | None:
    """The one called ``name`` among an objective's discriminators; None where there is none."""
    found = None if discriminators is None else dict(discriminators.named_children()).get(name)
    assert found is None or isinstance(found, kind)
    return found
