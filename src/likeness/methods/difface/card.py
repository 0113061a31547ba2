"""DifFace's cards: one for restoration, one for filling holes."""

from likeness.methods.card import MethodCard, Option

PAPER = "Yue, Loy: DifFace: Blind Face Restoration with Diffused Error Contraction, TPAMI 2024, arXiv 2212.06512"
LICENCE = "NTU S-Lab License 1.0 (code and weights; non-commercial use only)"

CARD = MethodCard(
    name="difface",
    title="DifFace",
    paper=PAPER,
    licence=LICENCE,
    kind="iterative",
    stochastic=True,
    options=(
        Option("steps", 100, 1, 249, "from which of 250 noise levels to start, and how often the network is called; "
               "few keep to the estimate, many trust the prior"),
        Option("eta", 0.5, 0.0, 1.0, "noise added at each step: 0 none, 1 as much as ancestral sampling"),
    ),
    checkpoints={"unet": "iddpm_ffhq512_ema500000.pth", "swinir": "swinir_restoration512_L1.pth"},
)  # fmt: skip

INPAINTING = MethodCard(
    name="difface-inpainting",
    title="DifFace, filling holes",
    paper=PAPER,
    licence=LICENCE,
    kind="iterative",
    stochastic=True,
    options=(
        Option("steps", 120, 1, 249, "from which of 250 noise levels to start, and how often the network is called; "
               "few keep to the estimate, many trust the prior"),
        Option("eta", 1.0, 0.0, 1.0, "noise added at each step: 0 none, 1 as much as ancestral sampling"),
        Option("gamma", 0.5, 0.0, 0.5, "how far each step goes back to the photograph outside the hole: 0.5 all the "
               "way, 0 not at all"),
    ),
    needs=("hole",),
    checkpoints={"unet": "iddpm_ffhq256_ema750000.pth", "lama": "lama_inpainting256.pth"},
)  # fmt: skip
