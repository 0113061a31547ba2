"""The parts of the pipeline that users choose by name, with weights from the store: detector, mask, up-sampler."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.faces import Detector, FeatheredMask, MaskSource, Recognizer, load_detector, load_recognizer

if TYPE_CHECKING:
    import torch

    from likeness.methods.recognise import Recognised
    from likeness.upscale import Upscaler

DETECTORS = ("dlib", "retinaface", "yunet", "scrfd")
RECOGNIZERS = ("dlib", "sface", "arcface-buffalo-l", "arcface-antelopev2", "arcface", "adaface-ir50")
MASKS = ("feathered", "parsing", "parsing-square")
UPSCALERS = ("lanczos", "realesrgan", "realesr-general")
SCALES = (1, 2, 4)
_WEIGHTS = {
    ("realesrgan", 2): "realesrgan-x2plus",
    ("realesrgan", 4): "realesrgan-x4plus",
    ("realesr-general", 4): "realesr-general-x4v3",
}


def find_detector(name: str, device: torch.device | str = "cpu") -> Detector:
    """The detector called ``name``. Raises ValueError naming the choices, WeightsError that says what to type."""
    if name == "retinaface":
        from likeness.faces.retinaface import load_retinaface
        from likeness.weights.store import locate

        return load_retinaface(locate("retinaface-resnet50"), device)
    if name == "yunet":
        from likeness.faces.yunet import load_yunet
        from likeness.weights.store import locate

        return load_yunet(locate("yunet"))
    if name == "scrfd":
        from likeness.faces.scrfd import load_scrfd
        from likeness.weights.store import locate

        return load_scrfd(locate("scrfd-10g"))
    if name not in DETECTORS:
        raise ValueError(f"unknown detector {name!r}; choose one of: {', '.join(DETECTORS)}")
    return load_detector(name)


def find_recognizer(name: str, device: torch.device | str = "cpu") -> Recognizer:
    """The recogniser called ``name``. Raises as ``find_detector``."""
    if name not in RECOGNIZERS:
        raise ValueError(f"unknown recognizer {name!r}; choose one of: {', '.join(RECOGNIZERS)}")
    if name == "dlib":
        return load_recognizer(name)
    from likeness.weights.store import locate

    path = locate(name)
    if name == "sface":
        from likeness.faces.onnx_recognizer import load_sface

        return load_sface(path)
    if name.startswith("arcface-"):
        from likeness.faces.onnx_recognizer import load_arcface_onnx

        return load_arcface_onnx(path, name)
    if name == "adaface-ir50":
        from likeness.faces.torch_recognizer import load_adaface

        return load_adaface(path, name, device)
    return _iresnet(path, device)


def _iresnet(path: Path, device: torch.device | str) -> Recognizer:
    from likeness.faces.recognizers import ARCFACE_SAME
    from likeness.faces.torch_recognizer import TorchRecognizer
    from likeness.measure.extractors import fill
    from likeness.nets.iresnet import SIDE, IResNet
    from likeness.weights.digest import fingerprint
    from likeness.weights.errors import WeightsError

    net = fill(path, IResNet, device)
    try:
        return TorchRecognizer(net, "arcface", SIDE, False, ARCFACE_SAME, fingerprint(path), device)
    except (RuntimeError, ValueError) as error:  # of another side than 112, or with numbers that are not finite
        raise WeightsError(f"{path} is not for the recognizer arcface: {' '.join(str(error).split())}") from error


def find_mask(name: str, device: torch.device | str = "cpu") -> MaskSource:
    """The paste-back mask called ``name``: our rounded square, or the parsed face as the field's pipelines do it
    ("parsing-square": within CodeFormer's square). Raises as ``find_detector``."""
    if name in ("parsing", "parsing-square"):
        from likeness.faces.parsing import ParsingMask, load_parser
        from likeness.weights.store import locate

        return ParsingMask(load_parser(locate("parsenet"), device), square=name == "parsing-square")
    if name not in MASKS:
        raise ValueError(f"unknown mask {name!r}; choose one of: {', '.join(MASKS)}")
    return FeatheredMask()


def find_upscaler(name: str, scale: int, device: torch.device | str = "cpu") -> Upscaler | None:
    """What enlarges the whole picture ``scale`` times; None for 1. Raises as ``find_detector``."""
    from likeness.upscale import load_upscaler

    if name not in UPSCALERS:
        raise ValueError(f"unknown upscaler {name!r}; choose one of: {', '.join(UPSCALERS)}")
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(map(str, SCALES))}, got {scale}")
    if scale == 1:
        return None
    if name == "lanczos":
        return load_upscaler(name, scale)
    if (name, scale) not in _WEIGHTS:
        offered = ", ".join(str(s) for n, s in _WEIGHTS if n == name)
        raise ValueError(f"{name} enlarges {offered} times, not {scale} times")
    from likeness.weights.store import locate

    return load_upscaler("realesrgan", scale, locate(_WEIGHTS[name, scale]), device)


def recognise_helper(checkpoint: Mapping[str, Any]) -> Recognised | None:
    """The detector, parser, up-sampler or metric that a released checkpoint holds; None for anything else."""
    import torch

    from likeness.measure import released as metrics
    from likeness.methods.recognise import Recognised
    from likeness.nets.bisenet import BiSeNet
    from likeness.nets.parsenet import ParseNet
    from likeness.nets.retinaface import RetinaFace
    from likeness.upscale import realesrgan

    flat = metrics.unpack(checkpoint)
    held = {key: value.shape for key, value in flat.items()}
    for role, build in (("detector", RetinaFace), ("parser", ParseNet), ("parser", BiSeNet)):
        with torch.device("meta"):
            wanted = {key: value.shape for key, value in build().state_dict().items()}
        if held == wanted:
            return Recognised(role, build(), flat)
    enlarging = realesrgan.unpack(checkpoint)
    if enlarging and (upscaler := realesrgan.recognise(enlarging)) is not None:
        return Recognised("upscaler", upscaler, enlarging)
    metric = metrics.recognise(flat)
    return None if metric is None else Recognised("metric", metric, flat)
