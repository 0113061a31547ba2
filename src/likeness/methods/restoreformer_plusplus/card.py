"""RestoreFormer++'s card."""

from likeness.methods.card import MethodCard

CARD = MethodCard(
    name="restoreformer++",
    title="RestoreFormer++",
    paper=(
        "Wang, Zhang, Chen, Wang, Luo: RestoreFormer++: Towards Real-World Blind Face Restoration from Undegraded "
        "Key-Value Pairs, TPAMI 2023, arXiv 2308.07228"
    ),
    licence="Apache-2.0 (code and weights as released; free use, also commercial; trained on photographs of FFHQ)",
    kind="one pass",
    stochastic=False,
    checkpoints={"net": "RestoreFormer++.ckpt"},
)
