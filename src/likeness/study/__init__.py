"""Compare, benchmark, and study what restoration does to people's faces; every figure with its interval."""
