"""GFPGAN (Wang et al. 2021, section 3.5): training from scratch, or going on from a released file."""
