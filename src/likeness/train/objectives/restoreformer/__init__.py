"""RestoreFormer (Wang et al. 2022): the dictionary of clean faces, then restoration with it; two stages."""
