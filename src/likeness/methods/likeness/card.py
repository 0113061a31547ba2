"""The built-in method's card."""

from likeness.methods.card import MethodCard, Option

CARD = MethodCard(
    name="likeness",
    title="Likeness, built in",
    paper="after papers/001: Zhao et al., Towards Authentic Face Restoration with Iterative Diffusion Models (2023)",
    licence="CC BY-NC-SA 4.0 (weights; research and non-commercial use, because of the training data)",
    kind="iterative",
    stochastic=True,
    options=(
        Option("steps", 2, 1, 50, "evaluations: 1 gives the posterior mean (soft, most accurate), 2 the sharp face"),
        Option("fidelity", 0.0, 0.0, 1.0, "0 the sharp face, 1 the accurate one, between them a blend"),
        Option("texture", 1.0, 0.0, 2.0, "grain of skin and hair, from 2 steps on: 0 none, 1 as trained, 1.3 crisper"),
        Option("ensemble", 0, 0, 1, "with 1 or 2 steps: 1 averages in the mirrored face (more accurate, slower)"),
    ),
    precision="auto",
    checkpoints={"net": "likeness.safetensors, in the package"},
)
