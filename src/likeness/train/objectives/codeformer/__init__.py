"""CodeFormer (Zhou et al. 2022): the codebook, the transformer that guesses codes, and the fusion; three stages."""
