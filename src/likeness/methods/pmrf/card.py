"""PMRF's card."""

from likeness.methods.card import MethodCard, Option

CARD = MethodCard(
    name="pmrf",
    title="PMRF",
    paper=(
        "Ohayon, Michaeli, Elad: Posterior-Mean Rectified Flow: Towards Minimum MSE Photo-Realistic Image Restoration, "
        "ICLR 2025"
    ),
    licence="MIT",
    kind="iterative",
    stochastic=True,
    options=(
        Option("steps", 25, 0, 1000, "steps of the flow: 0 shows the posterior mean itself, smooth and most faithful"),
        Option("noise", 0.1, 0.0, 1.0, "deviation of the noise added to the posterior mean before the flow"),
    ),
    checkpoints={"pmrf": "model.safetensors"},
)
