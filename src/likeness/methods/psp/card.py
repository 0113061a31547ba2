"""pSp's card."""

from likeness.methods.card import MethodCard, Option

CARD = MethodCard(
    name="psp",
    title="pSp (pixel2style2pixel), super resolution",
    paper=(
        "Richardson, Alaluf, Patashnik, Nitzan, Azar, Shapiro, Cohen-Or: Encoding in Style: a StyleGAN Encoder for "
        "Image-to-Image Translation, CVPR 2021"
    ),
    licence=(
        "MIT for the authors' work; the FFHQ StyleGAN2 weights inside derive from NVIDIA's (NVIDIA Source Code "
        "License): research and non-commercial use"
    ),
    kind="one pass",
    stochastic=False,
    options=(
        Option(
            "factor",
            1,
            0,
            32,
            "how much smaller than 256 pixels the face is made first (the network was trained for 1 to 32); 0 leaves "
            "this step out, as for the inversion, frontalisation and toonify weights",
        ),
        Option("mix_alpha", 0.0, 0.0, 1.0, "style mixing: share of a random face, drawn from the seed"),
        Option("mix_from", 8, 0, 17, "style mixing: first of the latent layers that it changes"),
        Option("resize_outputs", 0, 0, 1, "1 averages the result to 256 pixels first, as the authors' option does"),
    ),
    checkpoints={"net": "psp_celebs_super_resolution.pt"},
)
