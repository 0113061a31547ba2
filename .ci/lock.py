"""Write .ci/locked.txt: every package of the tests in the version that pip chooses now, with the sha256 of its file.

    python .ci/lock.py

For this version of Python and this platform. PyTorch is pinned without a sum, since the same version comes in builds
for processors and for each CUDA. ``make locked`` installs from the file, with sums checked, and runs the tests.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
LOCKED = HERE / "locked.txt"
BUILD = ("hatchling", "editables")  # what installs the project itself, without asking the network again


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*command, "--report", str(report), f"{HERE.parent}[dev]", *BUILD], check=True)
        chosen = json.loads(report.read_text(encoding="utf-8"))["install"]
    lines, torch = [], ""
    for one in chosen:
        name, version = one["metadata"]["name"], one["metadata"]["version"]
        sums = one["download_info"].get("archive_info", {}).get("hashes", {})
        if name == "torch":
            torch = version.partition("+")[0]
        elif name != "likeness":
            lines.append(f"{name}=={version} --hash=sha256:{sums['sha256']}")
    head = [
        f"# Made by .ci/lock.py: Python {platform.python_version()}, {platform.system()}, {platform.machine()}.",
        f"# torch=={torch}",
    ]
    LOCKED.write_text("\n".join([*head, *sorted(lines, key=str.lower)]) + "\n", encoding="utf-8")
    print(f"{len(lines)} packages in {LOCKED.name}, and torch {torch}")


if __name__ == "__main__":
    main()
