"""After a run of the parity tests: a table of what was compared."""

from __future__ import annotations

import pytest

import parity_fixture


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not parity_fixture.RESULTS:
        return
    terminalreporter.section("parity")
    terminalreporter.line(f"{'network':<32}{'keys':>6}{'worst difference':>18}{'seconds':>9}")
    for name, keys, worst, seconds in sorted(parity_fixture.RESULTS):
        terminalreporter.line(f"{name:<32}{keys:>6}{worst:>18.1e}{seconds:>9.1f}")
