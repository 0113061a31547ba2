"""RDFR's card."""

from likeness.methods.card import MethodCard, Option

CARD = MethodCard(
    name="rdfr",
    title="RDFR",
    paper=(
        "Zhao, Su, Chu, Li, Renn, Zhu, Chen, Jia: Rethinking Deep Face Restoration, CVPR 2022 (papers/003, as it was "
        "under review)"
    ),
    licence="none published: the weights are those of your own training",
    kind="one pass",
    stochastic=True,
    options=(Option("noise", 1.0, 0.0, 1.0, "strength of the noise that chooses among plausible faces; 0 draws none"),),
    checkpoints={"unet": "none published: a file of your own training"},
)
