"""``likeness models``: what it prints, where, and its exit status."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import scenes
from file_server import DATA, Server, names_below, sha256
from likeness import methods
from likeness.weights import store
from likeness.weights.catalogue import Entry, entries

Command = Callable[..., scenes.Ended]
Listed = Callable[..., Entry]


def document(ended: scenes.Ended) -> Any:
    """The one JSON document on standard output."""
    return json.loads(ended.out)


# list and show


def test_the_table_names_all_weights(command: Command) -> None:
    ended = command("models", "list")
    assert (ended.status, ended.err) == (0, "")
    for entry in entries():
        assert entry.name in ended.out
    assert "likeness" in ended.out
    assert "S-Lab License 1.0" in ended.out
    assert "Codebook Lookup" in ended.out
    assert "377 MB" in ended.out


def test_the_table_as_json(command: Command, home: Path) -> None:
    path = home / "weights/codeformer.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    rows = {row["name"]: row for row in document(command("models", "list", "--json"))["weights"]}
    assert {"likeness", "idm", "rdfr"} | {entry.name for entry in entries()} == set(rows)
    assert (rows["idm"]["here"], rows["idm"]["path"]) == (False, "")  # nothing is published
    assert rows["idm"]["note"].startswith("none published")
    assert (rows["codeformer"]["state"], rows["codeformer"]["here"]) == ("damaged", False)
    assert (rows["gfpgan-1.4"]["state"], rows["gfpgan-1.4"]["bytes"]) == ("absent", 348632874)
    assert rows["likeness"]["here"] is True
    assert rows["codeformer"]["path"] == str(path)
    assert rows["codeformer"]["non_commercial"] is True


def test_only_permissive_licences(command: Command) -> None:
    rows = document(command("models", "list", "--licence", "permissive", "--json"))["weights"]
    names = [row["name"] for row in rows]
    assert "realesrgan-x2plus" in names
    assert "codeformer" not in names
    assert "likeness" not in names
    assert command("models", "list", "--licence", "free").status == 2


def test_listing_is_quick() -> None:
    """Nothing heavy is imported to list, show or refuse."""
    code = """
import sys
from likeness.cli import app
def loaded(heavy, *runs):
    for arguments in runs:
        try:
            app(["models", *arguments])
        except SystemExit:
            pass
    return [name for name in heavy if name in sys.modules]
heavy = "torch", "requests", "cv2"
print(loaded([*heavy, "numpy"], ["list"], ["show", "gfpgan"]) + loaded(heavy, ["pull", "psp"], ["verify"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_method_its_options_and_its_files_are_shown(command: Command) -> None:
    ended = command("models", "show", "codeformer")
    assert ended.status == 0
    facts = methods.card("codeformer")
    for part in (facts.title, facts.paper, "--fidelity 0.5 (0.0 to 1.0)", *(option.help for option in facts.options)):
        assert part in ended.out
    for part in ("https://github.com/sczhou/CodeFormer/releases", entries()[4].sha256, "params_ema", "absent"):
        assert part in ended.out
    for helper in ("retinaface-resnet50", "detector", "dfdnet-dictionary"):
        assert command("models", "show", helper).status == 0
    shown = document(command("models", "show", "psfrgan", "--json"))
    assert [row["name"] for row in shown["weights"]] == ["psfrgan", "psfrgan-parser"]
    assert shown["method"]["name"] == "psfrgan"


@pytest.mark.parametrize("what", ["show", "pull", "verify", "add"])
def test_an_unknown_name(command: Command, what: str, home: Path) -> None:
    ended = command("models", what, "nonsense", *(["file.pth"] if what == "add" else []))
    assert (ended.status, ended.out) == (2, "")
    assert len(ended.lines) == 1
    assert "nonsense" in ended.lines[0]
    assert "likeness models list" in ended.lines[0]
    assert not home.exists()


# pull


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``likeness models ...`` as a real process."""
    return subprocess.run(
        [sys.executable, "-m", "likeness", "models", *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=os.environ | environment,
    )


def test_a_real_entry_from_a_mirror(server: Server, home: Path) -> None:
    """The whole way, as a process: refused without the licence, fetched with it, here, verified."""
    server.give("GPEN-BFR-256.pth", DATA)
    mirror = {"LIKENESS_MIRROR": server.url}
    done = process("pull", "gpen-256", **mirror)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    for part in ("Non-commercial use only", "likeness models pull gpen-256 --accept-licence"):
        assert part in done.stderr
    assert not home.exists()
    done = process("pull", "gpen-256", "--accept-licence", **mirror)
    assert (done.returncode, done.stdout) == (0, "")
    pinned, fetched = done.stderr.splitlines()
    assert "pinned on first use" in pinned
    assert sha256(DATA) in pinned
    assert str(home / "weights/GPEN-BFR-256.pth") in fetched
    assert names_below(home) == {"weights/GPEN-BFR-256.pth", "weights/GPEN-BFR-256.pth.json"}
    done = process("verify", LIKENESS_OFFLINE="1")
    assert done.returncode == 0
    assert f"gpen-256: intact, sha256 {sha256(DATA)} as in its first use" in done.stdout


def test_what_a_person_must_fetch(command: Command, home: Path) -> None:
    ended = command("models", "pull", "hifacegan")
    assert (ended.status, ended.out, len(ended.lines)) == (1, "", 1)
    for part in ("https://yadi.sk/d/Pl_hxVZPa_PHew", "likeness models add hifacegan FILE", "CC BY-NC-SA"):
        assert part in ended.lines[0]
    assert not home.exists()


def test_some_fail_and_the_others_come(command: Command, listed: Listed, server: Server, home: Path) -> None:
    listed("gone", urls=[server.give("gone.pth", b"", status=404)])
    listed("wrong", urls=[server.give("wrong.pth", DATA[1:])], sha256=sha256(DATA))
    listed("good", urls=[server.give("good.pth", DATA)], sha256=sha256(DATA))
    ended = command("models", "pull", "gone", "wrong", "good", "good")
    assert (ended.status, ended.out) == (1, "")
    assert len(ended.lines) == 3
    assert "404" in ended.lines[0]
    assert "not " + sha256(DATA) in ended.lines[1]
    assert ended.lines[2].startswith("good: ")
    assert names_below(home) == {"weights/good.pth", "weights/good.pth.json"}


def test_nothing_is_fetched_before_every_licence_is_accepted(command: Command, listed: Listed, server: Server) -> None:
    listed("free", urls=[server.give("free.pth", DATA)])
    listed("bound", urls=[server.give("bound.pth", DATA)], non_commercial=True)
    assert command("models", "pull", "free", "bound").status == 2
    assert server.seen == []
    assert command("models", "pull", "free", "bound", "--accept-licence").status == 0
    assert command("models", "pull", "bound").status == 0, "it is here"


@pytest.mark.parametrize("answer", ["y", "n"])
def test_the_licence_is_asked_for_on_a_terminal(server: Server, home: Path, answer: str) -> None:
    server.give("GPEN-BFR-256.pth", DATA)
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "likeness", "models", "pull", "gpen-256"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=os.environ | {"LIKENESS_MIRROR": server.url},
    )
    os.close(theirs)
    seen = b""
    give_up = time.monotonic() + 60
    while b"accept this licence?" not in seen and time.monotonic() < give_up:
        seen += os.read(ours, 1000)
    assert b"Non-commercial use only" in seen
    assert server.seen == []
    os.write(ours, f"{answer}\n".encode())
    try:
        while os.read(ours, 1000):
            pass
    except OSError:  # the other end is closed
        pass
    assert running.wait(timeout=60) == (0 if answer == "y" else 2)
    assert (home / "weights/GPEN-BFR-256.pth").exists() == (answer == "y")
    os.close(ours)
    assert running.stdout is not None
    assert running.stdout.read() == b""
    running.stdout.close()


def test_an_interrupted_download(server: Server, home: Path) -> None:
    server.give("GPEN-BFR-256.pth", DATA * 20, delay=0.1)
    running = subprocess.Popen(
        [sys.executable, "-m", "likeness", "models", "pull", "gpen-256", "--accept-licence"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"LIKENESS_MIRROR": server.url},
    )
    part = home / "partial/GPEN-BFR-256.pth.part"
    give_up = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 0) and time.monotonic() < give_up:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.splitlines() == ["likeness: stopped; run the same command again to go on"]
    assert not (home / "weights").exists()


# add and verify


def test_add_and_verify(command: Command, listed: Listed, tmp_path: Path, home: Path) -> None:
    entry = listed(sha256=sha256(DATA))
    file = tmp_path / "download.bin"
    file.write_bytes(DATA[1:])
    ended = command("models", "add", "tiny", file)
    assert (ended.status, len(ended.lines), names_below(home)) == (1, 1, set())
    file.write_bytes(DATA)
    assert command("models", "add", "tiny", file).status == 0
    ended = command("models", "verify", "tiny")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.strip() == f"tiny: intact, sha256 {sha256(DATA)} as in the catalogue"
    store.place(entry).write_bytes(b"x" + DATA[1:])
    ended = command("models", "verify")
    assert (ended.status, ended.out, len(ended.lines)) == (1, "", 1)
    assert "likeness models pull tiny" in ended.lines[0]
    found = document(command("models", "verify", "--json"))["weights"]
    assert [(row["name"], row["intact"]) for row in found] == [("tiny", False)]


def test_verify_what_is_not_here(command: Command) -> None:
    ended = command("models", "verify")
    assert (ended.status, ended.out, ended.lines) == (0, "", ["no pulled weights are here"])
    ended = command("models", "verify", "gfpgan")
    assert (ended.status, len(ended.lines)) == (1, 1)
    assert "likeness models pull gfpgan-1.4" in ended.lines[0]


# convert


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method with one small network."""
    module = types.ModuleType("methods_tiny")
    module.networks = lambda: {"net": nn.Linear(2, 3)}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "methods_tiny", module)
    monkeypatch.setattr(methods, "METHODS", {"tiny": "methods_tiny"})
    monkeypatch.setattr("likeness.methods.recognise.METHODS", methods.METHODS)


@pytest.mark.usefixtures("tiny")
def test_convert(command: Command, tmp_path: Path) -> None:
    source, target = tmp_path / "net.pth", tmp_path / "net.safetensors"
    torch.save(nn.Linear(2, 3).state_dict(), source)
    ended = command("models", "convert", source, "-o", target)
    assert (ended.status, ended.out, len(ended.lines)) == (0, "", 1)
    assert ended.lines[0].startswith(f"{target}: tiny, ")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("wrong", ["absent", "damaged", "other", "code", "suffix"])
def test_convert_what_cannot_be_converted(command: Command, tmp_path: Path, wrong: str) -> None:
    source, target, mark = tmp_path / "net.pth", tmp_path / "net.safetensors", tmp_path / "mark"

    class Runs:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {mark}",)

    held = {"code": {"weight": Runs()}, "other": nn.Linear(5, 5).state_dict()}
    torch.save(held.get(wrong, nn.Linear(2, 3).state_dict()), source)
    if wrong == "absent":
        source.unlink()
    elif wrong == "damaged":
        source.write_bytes(source.read_bytes()[:-100])
    ended = command("models", "convert", source, "-o", tmp_path / "net.bin" if wrong == "suffix" else target)
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1)
    says = {"absent": "not there", "damaged": "intact", "other": "no method", "code": "system", "suffix": "must be"}
    assert says[wrong] in ended.lines[0]
    assert not mark.exists()
    assert sorted(p.name for p in tmp_path.iterdir() if p != tmp_path / "home") == ["net.pth"] * source.exists()


def test_convert_a_checkpoint_of_training(command: Command, tmp_path: Path) -> None:
    source, target = tmp_path / "last.ckpt", tmp_path / "mine.safetensors"
    ema = {f"module.{k}": v for k, v in nn.Linear(2, 3).state_dict().items()} | {"n_averaged": torch.tensor(1)}
    torch.save({"recipe": {"method": "likeness"}, "step": 7, "generator": {}, "ema": ema}, source)
    ended = command("models", "convert", source, "-o", target)
    assert ended.status == 0, ended.err
    assert f"{target}: likeness, 7 steps" in ended.lines[0]


def helper_checkpoint(name: str) -> dict[str, Any]:
    """Saved as its authors do it."""
    from likeness.nets.bisenet import BiSeNet
    from likeness.nets.retinaface import RetinaFace
    from likeness.nets.srvgg import SRVGGNetCompact

    if name == "bisenet":
        return dict(BiSeNet().state_dict())
    if name == "retinaface":
        return {f"module.{key}": value for key, value in RetinaFace().state_dict().items()}
    return {"params": SRVGGNetCompact().state_dict()}


@pytest.mark.parametrize(("name", "role"), [("bisenet", "parser"), ("retinaface", "detector"), ("srvgg", "upscaler")])
def test_convert_a_helper(command: Command, tmp_path: Path, name: str, role: str) -> None:
    from safetensors.torch import load_file

    source, target = tmp_path / "released.pth", tmp_path / "clean.safetensors"
    checkpoint = helper_checkpoint(name)
    torch.save(checkpoint, source)
    ended = command("models", "convert", source, "-o", target)
    assert ended.status == 0, ended.err
    assert f": {role}," in ended.err
    clean, held = load_file(target), checkpoint.get("params", checkpoint)
    assert {key.removeprefix("module.") for key in held} == set(clean)
    assert all(torch.equal(value, clean[key.removeprefix("module.")]) for key, value in held.items())
