"""What is installed here beside us: licences that need a look, versions below our security floors, known holes.

    python .ci/audit.py

Exit status: 0 nothing found, 1 something was found, 3 the list of known holes (by pip-audit) cannot be had here.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from collections import Counter

from packaging.requirements import Requirement

# What may be installed beside Apache-2.0 code without a look. LGPL: we import and do not change it.
GOOD = re.compile(
    r"apache|mit\b|bsd|isc|python software|psf|mozilla|mpl|unlicense|zlib|hpnd|historical|0bsd|lgpl|lesser"
    r"|public domain|cc0|boost|\bzpl\b|libpng|unicode",
    re.IGNORECASE,
)
BAD = re.compile(r"\bA?GPL|GNU (Affero )?General Public|non-?commercial", re.IGNORECASE)
# Looked at by a person: why each may stay.
LOOKED_AT = {
    "face_recognition_models": "CC0; its 68-point model, which is not for commercial use, is never loaded",
    "pillow-heif": "BSD; its wheels hold libheif (LGPL) and libde265 (LGPL), x265 (GPL) encodes HEIC only",
}


def licence(package: importlib.metadata.Distribution) -> str:
    """What a package says of its licence, in a line."""
    facts = package.metadata
    classified = [c.split(" :: ")[-1] for c in facts.get_all("Classifier") or [] if "License" in c]
    short = (facts.get("License") or "").splitlines()[:1]
    said = [facts.get("License-Expression"), *classified, *(line[:60] for line in short)]
    return "; ".join(dict.fromkeys(one for one in said if one)) or "not stated"


def main() -> int:
    """Print the tables; the exit status."""
    packages = {p.metadata["Name"]: p for p in importlib.metadata.distributions()}
    found, counts = [], Counter()
    for name, package in sorted(packages.items(), key=lambda item: item[0].lower()):
        text = licence(package)
        good = bool(GOOD.search(text)) and not (BAD.search(text) and not re.search(r"lesser|LGPL", text, re.IGNORECASE))
        counts[text] += 1
        print(f"{name} {package.version}: {text}")
        if not good and name not in LOOKED_AT and name != "likeness":
            found.append(f"{name}: {text}")
    for name, why in LOOKED_AT.items():
        print(f"looked at: {name}: {why}")
    for text in importlib.metadata.requires("likeness") or []:
        floor = Requirement(text)
        here = packages.get(floor.name)
        if here is not None and not floor.specifier.contains(here.version.partition("+")[0]):
            found.append(f"{floor.name} {here.version} is outside of {floor.specifier}")
    for line in found:
        print(f"FOUND {line}")
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--skip-editable"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout.strip() or done.stderr.strip().splitlines()[-1])
    if (
        "No module named pip_audit" in done.stderr
        or "ConnectionError" in done.stderr
        or "not found on PyPI" in done.stdout
    ):
        print("the list of known holes cannot be had here: run this where pip-audit reaches it")
        return 1 if found else 3
    return 1 if found or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
