"""What a graph is, and how the arguments of a module become its inputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Graph = Callable[..., Tensor]  # takes the tensors among a module's arguments, of fixed shapes; gives its output


class Part(NamedTuple):
    """A module as it is called: its name among the parts of a method, and arguments like those it will get.

    Arguments are tensors, numbers, None, or lists of these. The module returns one tensor.
    """

    name: str
    module: nn.Module
    arguments: tuple[Any, ...]


class Slot(NamedTuple):
    """Where a tensor was among arguments: the number of the input."""

    number: int


def take_tensors(arguments: Sequence[Any]) -> tuple[list[Tensor], tuple[Any, ...]]:
    """The tensors among ``arguments`` in order, and the arguments with slots in their places."""
    tensors: list[Tensor] = []

    def without(argument: Any) -> Any:
        if isinstance(argument, Tensor):
            tensors.append(argument)
            return Slot(len(tensors) - 1)
        if isinstance(argument, (list, tuple)):
            return tuple(without(one) for one in argument)
        if argument is None or isinstance(argument, (bool, int, float, str)):
            return argument
        raise TypeError(f"an argument of a network is {type(argument).__name__}")

    return tensors, tuple(without(argument) for argument in arguments)


class Closed(nn.Module):
    """``module`` with everything fixed but the tensors: numbers become part of a graph, noise must be an input."""

    def __init__(self, module: nn.Module, pattern: tuple[Any, ...]) -> None:
        super().__init__()
        self.module, self.pattern = module, pattern

    def forward(self, *tensors: Tensor) -> Tensor:
        """The module's output in float32."""

        def fill(argument: Any) -> Any:
            if isinstance(argument, Slot):
                return tensors[argument.number]
            return [fill(one) for one in argument] if isinstance(argument, tuple) else argument

        return self.module(*(fill(argument) for argument in self.pattern)).float()  # type: ignore[no-any-return]


def input_names(module: nn.Module, pattern: tuple[Any, ...]) -> list[str]:
    """What the module calls its tensors: ``degraded``; those of a list ``noise`` are ``noise_0``, ``noise_1``, ..."""
    parameters = [*inspect.signature(module.forward).parameters]
    names: list[str] = []

    def collect(name: str, argument: Any) -> None:
        if isinstance(argument, Slot):
            names.append(name)
        elif isinstance(argument, tuple):
            for i, one in enumerate(argument):
                collect(f"{name}_{i}", one)

    for i, argument in enumerate(pattern):
        collect(parameters[i] if i < len(parameters) else f"input_{i}", argument)
    return names


def plain_inputs(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Copies that exporters take: contiguous, and not of an inference mode."""
    with torch.inference_mode(False):
        return tuple(t.detach().clone(memory_format=torch.contiguous_format) for t in tensors)
