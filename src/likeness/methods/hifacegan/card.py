"""HiFaceGAN's card."""

from likeness.methods.card import MethodCard

CARD = MethodCard(
    name="hifacegan",
    title="HiFaceGAN",
    paper="Yang, Wang, Ma, Gao, Liu, Wang, Ren: HiFaceGAN: Face Renovation via Collaborative Suppression and "
    "Replenishment (ACM Multimedia 2020)",
    licence="CC BY-NC-SA (share alike, not for commercial use)",
    kind="one pass",
    stochastic=False,
    checkpoints={"net": "latest_net_G.pth"},
)
