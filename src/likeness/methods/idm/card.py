"""IDM's card."""

from likeness.methods.card import MethodCard, Option

CARD = MethodCard(
    name="idm",
    title="IDM",
    paper=(
        "Zhao, Hou, Su, Jia, Li, Grundmann: Towards Authentic Face Restoration with Iterative Diffusion Models and "
        "Beyond, 2023, arXiv 2307.08996"
    ),
    licence="none published: the weights are those of your own training",
    kind="iterative",
    stochastic=True,
    options=(
        Option("steps", 10, 1, 1000, "evaluations of the network; the paper takes 10: fewer fail, more gain nothing"),
        Option("sampler", 0, 0, 2, "0 DDPM's ancestral sampling (the paper's choice), 1 DDIM, 2 SR3's refinement"),
        Option("eta", 0.0, 0.0, 1.0, "how much noise DDIM adds: 0 none, 1 as much as DDPM; for sampler 1 only"),
    ),
    checkpoints={"unet": "none published: a file of your own training, or of the open SR3 implementation"},
)
