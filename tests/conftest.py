"""Fixtures for the tests of the pipeline and its commands; the helpers behind them are in scenes.py."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import pytest

import scenes
from likeness import methods

# Backend "auto" would first export networks; tests that are about it say which one they mean.
os.environ.setdefault("LIKENESS_BACKEND", "torch")

# A shell starts what it puts into the background without job control with SIGINT ignored, and processes that the tests
# start would inherit that: those that are to be interrupted would go on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Says at once what failed: a run that is ended from outside never comes to its summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        crash = getattr(report.longrepr, "reprcrash", None)
        print(f"\n{report.nodeid} ({report.when}): {crash.message if crash else report.longrepr}", file=sys.__stderr__)


def pytest_runtest_setup() -> None:
    """Networks with fresh weights are the same ones in every run."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture
def pattern(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a method that costs nothing, known to ``likeness.methods`` during the test."""
    monkeypatch.setitem(methods.METHODS, "pattern", "scenes")
    return "pattern"


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., scenes.Ended]:
    """The command line in this process, which saves loading torch again: arguments -> how it ended."""
    from likeness.cli import app

    def run(*arguments: object) -> scenes.Ended:
        capfd.readouterr()
        status = 0
        try:
            app([str(a) for a in arguments], standalone_mode=True)
        except SystemExit as error:
            status = int(error.code or 0)
        seen = capfd.readouterr()
        return scenes.Ended(status, seen.out, seen.err)

    return run
