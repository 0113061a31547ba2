"""PULSE's card."""

from likeness.methods.card import MethodCard, Option

CARD = MethodCard(
    name="pulse",
    title="PULSE",
    paper=(
        "Menon, Damian, Hu, Ravi, Rudin: PULSE: Self-Supervised Photo Upsampling via Latent Space Exploration of "
        "Generative Models, CVPR 2020, arXiv 2003.03808"
    ),
    licence="none stated by the authors; the weights derive from NVIDIA's StyleGAN (CC BY-NC 4.0): non-commercial only",
    kind="optimisation",
    stochastic=True,
    options=(
        Option("reference", 32, 4, 512, "pixels to which the face is reduced before it is searched; a power of two"),
        Option("steps", 100, 1, 10000, "steps of the search, each of seven seconds of one CPU core"),
        Option("seconds", 0.0, 0.0, 86400.0, "stop a face after the step in which so many seconds are over; 0: never"),
        Option("eps", 2e-3, 0.0, 1.0, "mean squared difference from the reduced face at which a search has succeeded"),
        Option("strict", 1, 0, 1, "1: a search that never comes within eps fails its face; 0: its best picture stands"),
        Option("learning_rate", 0.4, 1e-6, 10.0, "of Adam, before the schedule"),
        Option("schedule", 2, 0, 2, "of the learning rate: 0 fixed, 1 up and down, 2 the same with a drop at the end"),
        Option("l1", 0.0, 0.0, 1e6, "weight of ten times the mean absolute difference"),
        Option("l2", 100.0, 0.0, 1e6, "weight of the mean squared difference, which counts as eps at least"),
        Option("geocross", 0.05, 0.0, 1e6, "weight of the angles between the latent vectors of the layers"),
        Option("noise_layers", 5, 0, 18, "how many noise maps are searched too, from the coarsest on"),
        Option("quiet_layer", 17, -1, 17, "the layer whose noise is zero (the last, which only makes spots); -1: none"),
        Option("patience", 0, 0, 10000, "stop within eps, or after so many steps without gain; 0: never, as released"),
    ),
    not_finite="pulse found no face that is the photograph when it is reduced (strict=0 gives the nearest one)",
    checkpoints={
        "synthesis": "synthesis.pt",
        "gaussian-fit": "gaussian_fit.pt",
        "mapping": "mapping.pt (only without gaussian_fit.pt)",
    },
)
