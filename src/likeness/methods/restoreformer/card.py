"""RestoreFormer's card."""

from likeness.methods.card import MethodCard

CARD = MethodCard(
    name="restoreformer",
    title="RestoreFormer",
    paper=(
        "Wang, Zhang, Chen, Wang, Luo: RestoreFormer: High-Quality Blind Face Restoration from Undegraded "
        "Key-Value Pairs, CVPR 2022, arXiv 2201.06374"
    ),
    licence="Apache-2.0 (code and weights as released; free use, also commercial; trained on photographs of FFHQ)",
    kind="one pass",
    stochastic=False,
    checkpoints={"net": "RestoreFormer.ckpt (or RestoreFormer.pth of the GFPGAN releases)"},
)
