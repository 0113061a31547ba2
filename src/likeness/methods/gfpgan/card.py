"""GFPGAN's card."""

from likeness.methods.card import MethodCard, Option

CARD = MethodCard(
    name="gfpgan",
    title="GFPGAN (1, 1.2, 1.3, 1.4)",
    paper="Wang, Li, Zhang, Shan: Towards Real-World Blind Face Restoration with Generative Facial Prior, CVPR 2021",
    licence=(
        "Apache-2.0 for the authors' work; parts descend from StyleGAN2 (NVIDIA, non-commercial) and DFDNet "
        "(CC BY-NC-SA 4.0): research and non-commercial use"
    ),
    kind="one pass",
    stochastic=True,
    options=(
        Option(
            "randomize_noise",
            1,
            0,
            1,
            "1 draws the generator's noise from the seed, as the authors do; 0 takes the noise in the weights",
        ),
    ),
    checkpoints={
        "clean": "GFPGANv1.4.pth (also GFPGANv1.3.pth, and GFPGANCleanv1-NoCE-C2.pth, which is 1.2)",
        "original": "GFPGANv1.pth",
    },
)
