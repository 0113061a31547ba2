"""Running a script as one or several processes that train together, as torchrun starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_together(processes: int, script: Path, *arguments: str) -> None:
    """Runs ``script`` in ``processes`` processes that know of each other, by gloo; the test fails if one fails."""
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]  # finds its own port
    command = [sys.executable, *(together if processes > 1 else []), str(script), *arguments]
    environment = {**os.environ, "TMPDIR": str(script.parent)}  # torchrun leaves a folder there
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
