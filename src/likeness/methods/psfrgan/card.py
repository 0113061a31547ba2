"""PSFRGAN's card."""

from likeness.methods.card import MethodCard

CARD = MethodCard(
    name="psfrgan",
    title="PSFRGAN",
    paper="Chen, Li, Yang, Lin, Zhang, Wong: Progressive Semantic-Aware Style Transformation for Blind Face "
    "Restoration (CVPR 2021)",
    licence="not stated in our sources: read that of github.com/chaofengc/PSFRGAN, and take it as research only until "
    "then",
    kind="one pass",
    stochastic=False,
    checkpoints={"net": "psfrgan_epoch15_net_G.pth", "parse": "parse_multi_iter_90000.pth"},
)
