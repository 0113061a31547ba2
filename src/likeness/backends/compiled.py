"""Modules compiled by PyTorch. Nothing is kept between processes but what PyTorch keeps itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from likeness.backends.choose import BackendError
from likeness.backends.onnx_graph import one_line


class CompiledGraph:
    """``module``, compiled for each set of shapes when it first comes."""

    def __init__(self, module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self._call = torch.compile(module, dynamic=False)
        self._device, self._dtype = device, dtype

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The output for ``inputs``. Raises BackendError when the compiler is not there or fails."""
        try:
            with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
                return self._call(*inputs)  # type: ignore[no-any-return]
        except torch._dynamo.exc.TorchDynamoException as error:
            raise BackendError(f"its network cannot be compiled: {one_line(error)}; use --backend torch") from error
