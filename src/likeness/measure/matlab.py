"""MATLAB files, read by SciPy in a process of its own: a damaged one can crash SciPy's reader (seen with 1.17.1)."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from likeness.weights.errors import WeightsError

PATIENCE = 60.0  # seconds


def read_matlab(path: Path) -> Mapping[str, np.ndarray]:
    """The arrays of numbers in ``path`` by name. Raises WeightsError for a file that is not there, or not intact."""
    if find_spec("scipy") is None:
        raise WeightsError(f"{path}: MATLAB files need scipy (pip install 'likeness[metrics]')")
    if not path.is_file():
        raise WeightsError(f"{path} is not there")
    command = [sys.executable, "-m", __spec__.name, str(path.absolute())]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
        with np.load(io.BytesIO(ended.stdout), allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except (subprocess.SubprocessError, ValueError, EOFError) as error:
        raise WeightsError(f"{path} is not an intact MATLAB file of version 7.2 or older") from error


def main(path: str) -> None:
    """Write the arrays of numbers in ``path`` to standard output, as an .npz file."""
    from scipy.io import loadmat

    found = {name: value for name, value in loadmat(path, appendmat=False).items() if isinstance(value, np.ndarray)}
    np.savez(sys.stdout.buffer, **{name: value for name, value in found.items() if value.dtype.kind in "iuf"})  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1])
