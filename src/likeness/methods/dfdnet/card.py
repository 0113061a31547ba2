"""DFDNet's card."""

from likeness.methods.card import MethodCard

CARD = MethodCard(
    name="dfdnet",
    title="DFDNet",
    paper="Li, Chen, Zhou, Lin, Zuo, Zhang: Blind Face Restoration via Deep Multi-scale Component Dictionaries "
    "(ECCV 2020)",
    licence="CC BY-NC-SA (share alike, not for commercial use)",
    kind="one pass",
    stochastic=False,
    needs=("landmarks",),
    checkpoints={"net": "latest_net_G.pth", "dictionary": "DictionaryCenter512"},
)
