"""VQFR's card, of both versions."""

from likeness.methods.card import MethodCard, Option

CARD = MethodCard(
    name="vqfr",
    title="VQFR",
    paper=(
        "Gu, Wang, Xie, Dong, Li, Shan, Cheng: VQFR: Blind Face Restoration with Vector-Quantized Dictionary and "
        "Parallel Decoder, ECCV 2022, arXiv 2205.06803"
    ),
    licence="Apache-2.0 (code and weights as released; free use, also commercial; trained on photographs of FFHQ)",
    kind="one pass",
    stochastic=False,
    options=(
        Option(
            "fidelity", 0.0, 0.0, 1.0, "version 2: how much of the photograph's branch is added; version 1 has none"
        ),
    ),
    checkpoints={"v1": "VQFR_v1-33a1fac5.pth", "v2": "VQFR_v2.pth"},
)
