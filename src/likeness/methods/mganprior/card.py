"""mGANprior's card."""

from likeness.methods.card import MethodCard, Option

CARD = MethodCard(
    name="mganprior",
    title="mGANprior",
    paper="Gu, Shen, Zhou: Image Processing Using Multi-Code GAN Prior, CVPR 2020, arXiv 1912.07116",
    licence="none stated by the authors; the weights are converted from NVIDIA's PGGAN (CC BY-NC 4.0)",
    kind="optimisation",
    stochastic=True,
    options=(
        # 20 is what the authors' command for super-resolution says; their script's default is 30
        Option("codes", 20, 1, 64, "how many latent codes are mixed; time and memory grow with them"),
        Option("layer", 6, 1, 17, "the layer of the generator after which their features are mixed"),
        Option(
            "factor", 16, 1, 64, "by which photo and estimate are reduced from 1024 pixels before they are compared"
        ),
        Option("steps", 2000, 1, 100000, "steps of the search, each of seven seconds of one CPU core: hours a face"),
        Option("seconds", 0.0, 0.0, 86400.0, "stop a face after the step in which so many seconds are over; 0: never"),
        Option("optimiser", 0, 0, 1, "0 gradient descent, 1 Adam"),
        Option("learning_rate", 1.0, 1e-6, 100.0, "of the optimiser; Adam wants about 0.05"),
        Option("l1", 0.0, 0.0, 1e6, "weight of the mean absolute difference"),
        Option("l2", 1.0, 0.0, 1e6, "weight of the mean squared difference"),
        Option("perceptual", 1.0, 0.0, 1e6, "weight of the difference of VGG16's features; 0 does without its file"),
        Option("perceptual_l2", 0, 0, 1, "that difference: 0 mean absolute, 1 mean squared"),
        Option("perceptual_layer", 16, 1, 31, "how many modules of VGG16 are run"),
        Option("perceptual_size", 256, 32, 1024, "pixels to which the pictures are enlarged for VGG16"),
        Option("patience", 0, 0, 100000, "stop after so many steps without gain; 0: never, as released"),
    ),
    checkpoints={"pggan": "pggan_celebahq1024_generator.pth", "vgg16": "vgg16-397923af.pth (unless perceptual is 0)"},
)
