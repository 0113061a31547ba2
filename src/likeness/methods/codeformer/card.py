"""CodeFormer's card."""

from likeness.methods.card import MethodCard, Option

CARD = MethodCard(
    name="codeformer",
    title="CodeFormer",
    paper=(
        "Zhou, Chan, Li, Loy: Towards Robust Blind Face Restoration with Codebook Lookup Transformer, "
        "NeurIPS 2022, arXiv 2206.11253"
    ),
    licence="S-Lab License 1.0 (code and weights; non-commercial use only)",
    kind="one pass",
    stochastic=False,
    options=(
        Option("fidelity", 0.5, 0.0, 1.0, "0 trusts the codebook (better looking), 1 the photograph (more faithful)"),
        Option("adain", 1, 0, 1, "1 gives the codes the statistics of the photograph's features, 0 leaves them"),
    ),
    checkpoints={"net": "codeformer.pth"},
)
