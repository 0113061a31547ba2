"""Copies between host and device: on the processor, on a device that only notes, on CUDA where there is one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from likeness.pipeline.transfer import Transfer

BATCH = torch.arange(48.0).reshape(1, 4, 4, 3).permute(0, 3, 1, 2)


class Noted(TorchFunctionMode):
    """What a CUDA device would be asked, noted in ``calls`` and answered by the processor."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "pin_memory":
            self.calls.append(("pin",))
            return args[0]
        if name == "to" and torch.device("cuda") in args:
            self.calls.append(("to", kwargs.get("non_blocking", False)))
            return args[0].clone()
        if name == "empty":
            self.calls.append(("empty", kwargs.pop("pin_memory", False)))
        if name == "copy_":
            self.calls.append(("copy", kwargs.get("non_blocking", False)))
        return func(*args, **kwargs)


def test_nothing_is_copied_on_the_processor() -> None:
    transfer = Transfer(torch.device("cpu"))
    assert not transfer.pinned
    assert transfer.there(BATCH) is BATCH
    assert transfer.back(BATCH) is BATCH


def test_cuda_is_asked_for_pinned_copies_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    transfer, noted = Transfer(torch.device("cuda")), Noted()

    class Stream:
        def synchronize(self) -> None:
            noted.calls.append(("wait",))

    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    with noted:
        there = transfer.there(BATCH)
        assert noted.calls == [("pin",), ("to", True)]
        noted.calls.clear()
        back = transfer.back(there)
    assert noted.calls == [("empty", True), ("copy", True), ("wait",)]
    assert torch.equal(back, BATCH)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_gives_back_the_same_numbers() -> None:
    transfer = Transfer(torch.device("cuda"))
    there = transfer.there(BATCH)
    assert there.device.type == "cuda"
    back = transfer.back(there * 2)
    assert back.is_pinned()
    assert torch.equal(back, BATCH * 2)
