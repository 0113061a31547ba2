"""InstantRestore's card."""

from likeness.methods.card import MethodCard, Option

CARD = MethodCard(
    name="instantrestore",
    title="InstantRestore",
    paper="Snap Research: InstantRestore: Single-Step Personalized Face Restoration, SIGGRAPH 2025",
    licence="none stated by the authors; the weights contain those of SD-Turbo",
    kind="one pass",
    stochastic=True,
    options=(
        Option(
            "adain",
            1,
            0,
            1,
            "1 gives the values taken from the references the statistics of the face's own, 0 leaves them as they are; "
            "not given: as the weights were trained",
        ),
        Option(
            "own_keys",
            0,
            0,
            1,
            "1 lets the face attend to itself beside the references, 0 to the references only; "
            "not given: as the weights were trained",
        ),
        Option("timestep", 249, 1, 999, "how much noise the face gets before its one step; trained at 249, 499, 749"),
    ),
    needs=("references",),
    checkpoints={"net": "final_model_ckpt.pt"},
)
