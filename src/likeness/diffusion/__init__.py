"""Noise schedules and samplers as pure functions.

Convention (papers/001 eq. 5): x_t = sqrt(gamma) x0 + sqrt(1 - gamma) eps; gamma runs from 0 (noise) to 1 (picture).
"""

from likeness.diffusion.ancestral import ancestral_step, sample, seeded_noise
from likeness.diffusion.ddim import ddim_step, eps_of, refinement_step, x0_of
from likeness.diffusion.flow import euler_flow
from likeness.diffusion.schedule import diffuse, respaced_gammas
from likeness.diffusion.tables import Schedule, spread_evenly, strided

__all__ = [
    "Schedule", "ancestral_step", "ddim_step", "diffuse", "eps_of", "euler_flow", "refinement_step", "respaced_gammas",
    "sample", "seeded_noise", "spread_evenly", "strided", "x0_of",
]  # fmt: skip
