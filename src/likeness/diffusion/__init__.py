"""Noise schedules and samplers as pure functions.

Convention (papers/001 eq. 5): x_t = sqrt(gamma) x0 + sqrt(1 - gamma) eps; gamma runs from 0 (noise) to 1 (picture).
"""

from likeness.diffusion.ancestral import ancestral_step, sample
from likeness.diffusion.schedule import diffuse, respaced_gammas

__all__ = ["ancestral_step", "diffuse", "respaced_gammas", "sample"]
