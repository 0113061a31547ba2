"""Running a script as one or several processes that train together, as torchrun starts them."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path


def run_together(processes: int, script: Path, *arguments: str) -> None:
    """Runs ``script`` in ``processes`` processes that know of each other, by gloo; the test fails if one fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", str(port)]
    command = [sys.executable, *(together if processes > 1 else []), str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
