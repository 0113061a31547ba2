"""GPEN's card."""

from likeness.methods.card import MethodCard, Option

CARD = MethodCard(
    name="gpen",
    title="GPEN",
    paper="Yang, Ren, Xie, Zhang: GAN Prior Embedded Network for Blind Face Restoration in the Wild, CVPR 2021",
    licence="the authors' own: non-commercial use only (the text was removed from their repository in 2026-03)",
    kind="one pass",
    stochastic=False,
    options=(Option("alpha", 1.0, 0.0, 1.0, "share of the restored face; the rest is the face as it was"),),
    checkpoints={"net": "GPEN-BFR-512.pth, or GPEN-BFR-256.pth"},
)
