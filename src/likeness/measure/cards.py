"""The metrics that there are, in the order in which tables show them."""

from __future__ import annotations

from math import inf

from likeness.measure.metric import MetricCard, Need

_SSIM = "Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 2004"
_LPIPS = "Zhang et al., CVPR 2018, version 0.1"
_PR = "Kynkäänniemi et al., NeurIPS 2019, k = 3, of Inception features (the paper's are VGG16's)"
_INCEPTION = ("fid-inception",)
_POINTS = "mean distance of dlib's five points"
_NIQE = "Mittal, Soundararajan, Bovik, SPL 2013; "
_TRUTH: tuple[Need, ...] = ("truth",)
_OTHER: tuple[Need, ...] = ("counterpart",)
_REFERENCE: tuple[Need, ...] = ("reference",)

CARDS: tuple[MetricCard, ...] = (
    MetricCard("psnr", "PSNR", True, 0, inf, "RGB, no border left out", _TRUTH, unit="dB", digits=2),
    MetricCard("ssim", "SSIM", True, -1, 1, _SSIM, _TRUTH),
    MetricCard("ms-ssim", "MS-SSIM", True, 0, 1, "Wang, Simoncelli, Bovik, Asilomar 2003", _TRUTH),
    MetricCard("psnr-y", "PSNR (Y)", True, 0, inf, "of the luma of BT.601", _TRUTH, unit="dB", digits=2),
    MetricCard("ssim-y", "SSIM (Y)", True, -1, 1, _SSIM + ", of the luma", _TRUTH),
    MetricCard("lpips-alex", "LPIPS (Alex)", False, 0, inf, _LPIPS, _TRUTH, ("lpips-alex", "alexnet")),
    MetricCard("lpips-vgg", "LPIPS (VGG)", False, 0, inf, _LPIPS, _TRUTH, ("lpips-vgg", "vgg16")),
    MetricCard("dists", "DISTS", False, 0, 1, "Ding, Ma, Wang, Simoncelli, TPAMI 2020", _TRUTH, ("dists", "vgg16")),
    MetricCard("fid", "FID", False, 0, inf, "pytorch-fid's variant", _REFERENCE, _INCEPTION, digits=2),
    MetricCard("fid-torch-fidelity", "FID (tf)", False, 0, inf, "torch-fidelity's", _REFERENCE, _INCEPTION, digits=2),
    MetricCard("fid-basicsr", "FID (BasicSR)", False, 0, inf, "BasicSR's (VQFR)", _REFERENCE, _INCEPTION, digits=2),
    MetricCard("kid", "KID", False, -inf, inf, "Bińkowski et al., ICLR 2018", _REFERENCE, _INCEPTION, digits=4),
    MetricCard("precision", "precision", True, 0, 1, _PR, _REFERENCE, _INCEPTION),
    MetricCard("recall", "recall", True, 0, 1, _PR, _REFERENCE, _INCEPTION),
    MetricCard("iprecision", "iPrecision", True, 0, 1, "papers/003 eq. 11, k = 4", _TRUTH, faces=True),
    MetricCard("irecall", "iRecall", True, 0, 1, "papers/003 eq. 12, k = 4", _TRUTH, faces=True),
    MetricCard("niqe", "NIQE", False, 0, inf, _NIQE + "the published pristine model", weights=("niqe",), digits=2),
    MetricCard("niqe-faces", "NIQE (faces)", False, 0, inf, _NIQE + "our model, of synthetic faces", digits=2),
    MetricCard("nima", "NIMA", True, 1, 10, "Talebi, Milanfar, TIP 2018", weights=("nima",), digits=2),
    MetricCard("identity-distance", "identity distance", False, 0, 2, "L2 of the recogniser", _OTHER, faces=True),
    MetricCard("identity-cosine", "identity cosine", True, -1, 1, "cosine of the recogniser", _OTHER, faces=True),
    MetricCard("arcface-cosine", "ID", True, -1, 1, "ArcFace cosine: ID of IDM, IDS", _OTHER, ("arcface",), faces=True),
    MetricCard("adaface-cosine", "AdaFace", True, -1, 1, "AdaFace cosine", _OTHER, ("adaface-ir50",), faces=True),
    MetricCard("deg", "Deg", False, 0, 180, "VQFR's and PMRF's", _TRUTH, ("deg-resnet18",), unit="degrees", digits=2),
    MetricCard("lmd", "LMD", False, 0, inf, "VQFR's and PMRF's", _TRUTH, ("lmd-fan",), unit="pixels", digits=2),
    MetricCard("landmarks", "landmark error", False, 0, inf, _POINTS, _TRUTH, faces=True, unit="pixels", digits=2),
    MetricCard(
        "sharpness", "gradient energy", True, 0, inf, "share of the truth's; 1 is as sharp", _TRUTH, digits=2, target=1
    ),
    MetricCard(
        "consistency",
        "consistency",
        True,
        0,
        inf,
        "degraded again, PSNR to the input",
        ("degraded",),
        unit="dB",
        digits=2,
    ),
)
BY_NAME: dict[str, MetricCard] = {card.name: card for card in CARDS}
DEFAULT = ("psnr", "ssim", "identity-distance", "sharpness")


def metric_card(name: str) -> MetricCard:
    """The card of the metric called ``name``. Raises ValueError naming the known ones."""
    if name not in BY_NAME:
        raise ValueError(f"unknown metric {name!r}; choose from {', '.join(BY_NAME)}")
    return BY_NAME[name]
