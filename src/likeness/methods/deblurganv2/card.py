"""DeblurGAN-v2's card."""

from likeness.methods.card import MethodCard

CARD = MethodCard(
    name="deblurganv2",
    title="DeblurGAN-v2",
    paper="Kupyn, Martyniuk, Wu, Wang: DeblurGAN-v2: Deblurring (Orders-of-Magnitude) Faster and Better (ICCV 2019)",
    licence="BSD (use and redistribution, changed or not, commercial too, with the notice of copyright)",
    kind="one pass",
    stochastic=False,
    checkpoints={"fpn_inception": "fpn_inception.h5", "fpn_mobilenet": "fpn_mobilenet.h5"},
)
