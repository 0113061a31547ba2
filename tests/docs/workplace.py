"""A folder in which the documentation's commands are typed, and how each must end."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import scenes

Command = Callable[..., scenes.Ended]
READY_SECONDS = 120
METHOD_FLAGS = ("steps", "fidelity", "seconds")

# Never typed here. The reason stands beside each; the pattern is that of the whole line.
NOT_TYPED = {
    r"make (demo|test|docs)\b.*": "makes a virtual environment and installs from the network",
    r"pip install .*": "installs",
    r"pytest .*": "runs the test suite",
    r"python benchmarks/\S+ .*": "a measurement of minutes to hours; tests of its own run it small",
}
# A command may end badly for these reasons only, each said in a line that names weights of the catalogue.
WEIGHTS = re.compile(r"the weights (?P<name>[a-z0-9.+-]+) are not here: type likeness models pull (?P=name)")
OFFLINE = re.compile(r"(?P<name>[a-z0-9.+-]+) is not here, and LIKENESS_OFFLINE forbids to fetch it")
# Lines that must be refused here, with what is to be said: they want what only the reader has.
REFUSED = {
    r"likeness study result compared": r"no answers are here; ask for some with likeness study rate",
    r"likeness restore old\.jpg -o out --method idm --weights my_idm\.pth": r"weights my_idm\.pth are not there",
    r"likeness restore old\.jpg -o out --method rdfr --weights my_rdfr\.pth": r"weights my_rdfr\.pth are not there",
    r"likeness train recipes/idm-2-extrinsic\.yaml .*": r"init: no file is runs/idm-1-intrinsic/last\.ckpt",
    r"likeness models add gfpgan-1\.4 Downloads/GFPGANv1\.4\.pth": r"GFPGANv1\.4",
}


@dataclass(frozen=True)
class Outcome:
    """How a line ended: ``kind`` is done, weights (they are not here), refused, served or left out."""

    line: str
    kind: str


@dataclass
class Workplace:
    """``folder``: where the lines are typed. ``command``: the fixture that runs ``likeness`` in this process."""

    folder: Path
    command: Command
    outcomes: list[Outcome] = field(default_factory=list)
    port: int | None = None
    server: subprocess.Popen[bytes] | None = None

    def type(self, line: str) -> None:
        """Run one line as a person would. Raises AssertionError when it does not end as it should."""
        if any(re.fullmatch(pattern, line) for pattern in NOT_TYPED):
            self.outcomes.append(Outcome(line, "left out"))
            return
        words = shlex.split(line.removeprefix(".venv/bin/"), comments=True)
        if words[:2] == ["likeness", "web"]:
            self._serve(words)
        elif words[0] == "likeness":
            self._judge(line, self.command(*words[1:]))
        elif words[0] == "curl":
            self._curl(line, words)
        else:
            raise AssertionError(f"{line}: neither likeness nor curl; name it in NOT_TYPED with a reason")

    def run(self, source: str, where: str) -> None:
        """Execute a Python block."""
        if self.port is not None:
            source = source.replace(":7860", f":{self.port}")
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(source, where, "exec"), {"__name__": "documentation"})
        self.outcomes.append(Outcome(where, "done"))

    def _judge(self, line: str, ended: scenes.Ended) -> None:
        assert "Traceback" not in ended.err, f"{line}\n{ended.err}"
        if ended.status == 0:
            self.outcomes.append(Outcome(line, "done"))
            return
        said = f"{line}\nended with {ended.status}:\n{ended.out[-1500:]}{ended.err[-3000:]}"
        assert ended.status in (1, 2), said
        wanted = next((text for pattern, text in REFUSED.items() if re.fullmatch(pattern, line)), None)
        if wanted is not None:
            assert re.search(wanted, ended.err), said
            self.outcomes.append(Outcome(line, "refused"))
            return
        named = [one["name"] for pattern in (WEIGHTS, OFFLINE) for one in pattern.finditer(ended.err + ended.out)]
        assert named, said
        assert set(named) <= catalogue(), said
        check_options(shlex.split(line, comments=True))
        self.outcomes.append(Outcome(line, "weights"))

    def _serve(self, words: list[str]) -> None:
        """``likeness web`` as written, but for a port that is free; it must say that it is ready."""
        self.stop()
        documented = int(words[words.index("--port") + 1]) if "--port" in words else 7860
        port = documented if free(documented) else 0
        if "--port" in words:
            words[words.index("--port") + 1] = str(port)
        elif port == 0:
            words += ["--port", "0"]
        env = {**scenes.environment(), "LIKENESS_PASSWORD": secrets.token_urlsafe(), "TMPDIR": str(self.folder)}
        process = subprocess.Popen(
            [sys.executable, "-m", "likeness", *words[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env
        )
        self.server, said, ready = process, [], threading.Event()

        def listen() -> None:
            assert process.stderr is not None
            for raw in process.stderr:
                said.append(raw.decode(errors="replace"))
                if " at http" in said[-1]:
                    ready.set()
            ready.set()

        threading.Thread(target=listen, daemon=True).start()
        assert ready.wait(READY_SECONDS), f"{words} is not ready after {READY_SECONDS} s: {said}"
        address = next((line for line in said if " at http" in line), None)
        assert address is not None, "".join(said)
        self.port = int(re.search(r":(\d+)/", address)[1])  # type: ignore[index]
        self.outcomes.append(Outcome(shlex.join(words), "served"))

    def _curl(self, line: str, words: list[str]) -> None:
        assert self.port is not None, f"{line}: no server is running on this page"
        words = [word.replace(":7860", f":{self.port}") for word in words]
        done = subprocess.run([*words, "-f"], capture_output=True, encoding="utf-8", timeout=60, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        self.outcomes.append(Outcome(line, "done"))

    def stop(self) -> None:
        """End the server as Ctrl-C does; it must end well."""
        if self.server is None:
            return
        process, self.server, self.port = self.server, None, None
        process.send_signal(signal.SIGINT)
        try:
            status = process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        assert status == 0, f"likeness web ended with {status}"


def check_options(words: list[str]) -> None:
    """The options of the methods in a line that could not run. Raises AssertionError for a wrong one."""
    from likeness.cli.options import option_pairs
    from likeness.methods import METHODS, OptionError, card
    from likeness.study.compare import split_methods
    from likeness.study.contenders import parse_contender
    from likeness.weights.catalogue import find

    pairs = list(itertools.pairwise(words))
    given = dict(pairs)
    if words[1] == "restore":
        options = option_pairs([value for flag, value in pairs if flag == "--option"])
        options |= {
            flag: float(given[f"--{flag}"]) for flag in ("steps", "fidelity", "seconds") if f"--{flag}" in given
        }
        wanted = [(given.get("--method") or given.get("--weights") or "likeness", options)]
    else:
        texts = [value for flag, value in pairs if flag == "--method"] + split_methods(given.get("--methods", ""))
        wanted = [(one.method or "likeness", one.options) for one in map(parse_contender, filter(None, texts))]
    for name, options in wanted:
        try:
            card(name if name in METHODS else find(name).method).choose(options)
        except OptionError as error:
            raise AssertionError(f"{shlex.join(words)}: {error}") from error


def catalogue() -> set[str]:
    """The names of weights that there are."""
    from likeness.weights.catalogue import entries

    return {one.name for one in entries()}


def free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def typed_in(folder: Path) -> Iterator[None]:
    """Within: the current folder is ``folder``."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
