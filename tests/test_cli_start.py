"""How the program starts: what it imports, how long that takes, and its small commands."""

from __future__ import annotations

import shlex
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import likeness as package
import scenes
from likeness.methods import METHODS

Command = Callable[..., scenes.Ended]


@pytest.mark.parametrize("what", ["likeness", "likeness.cli", "likeness.methods", "likeness.photo", "likeness.faces"])
def test_imports_are_light(what: str) -> None:
    heavy = "torch", "cv2", "gradio", "dlib", "ray", "likeness.methods.likeness.network"
    code = f"import sys, {what}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_takes_less_than_a_second_of_cpu_time() -> None:
    resource = pytest.importorskip("resource")
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = scenes.likeness("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert ended.status == 0
        assert "restore" in ended.out
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert statistics.median(seconds) < 1.0, seconds


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGSEGV")
def test_a_crash_in_native_code_says_where_it_was(tmp_path: Path) -> None:
    process = scenes.start("web", "--port", "0", "--api-only", env={"TMPDIR": str(tmp_path)})
    assert process.stderr is not None
    assert any(b" at http" in line for line in process.stderr)
    process.send_signal(signal.SIGSEGV)
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGSEGV
    assert b"Fatal Python error: Segmentation fault" in said
    assert b"likeness/cli/web.py" in said


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_it_starts_with_standard_error_closed() -> None:
    command = ["/bin/sh", "-c", f"exec {shlex.quote(sys.executable)} -m likeness --version 2>&-"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=scenes.environment())
    assert (done.returncode, done.stdout.strip()) == (0, f"likeness {package.__version__}")


def test_version(command: Command) -> None:
    ended = command("--version")
    assert (ended.status, ended.out.strip()) == (0, f"likeness {package.__version__}")


def test_every_method_is_listed_and_shown(command: Command) -> None:
    listed = command("models", "list")
    assert listed.status == 0
    for method in METHODS:
        assert method in listed.out
        shown = command("models", "show", method)
        assert shown.status == 0
        assert "licence" in shown.out


def test_an_unknown_method_is_one_line(command: Command) -> None:
    ended = command("models", "show", "nonsense")
    assert (ended.status, ended.out) == (2, "")
    assert len(ended.lines) == 1
    assert "nonsense" in ended.lines[0]


@pytest.mark.parametrize(
    "name",
    [
        "restore",
        "compare",
        "measure",
        "bench",
        "authenticity",
        "video",
        "degrade",
        "train",
        "doctor",
        "models",
        "dataset",
        "identity",
        "study",
    ],
)
def test_every_command_explains_itself(command: Command, name: str) -> None:
    ended = command(name, "--help")
    assert ended.status == 0
    assert ended.err == ""
    assert "Usage" in ended.out
