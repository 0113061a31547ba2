"""Reading the parity fixtures of published networks: fill a network by the rule, run it, compare with the goldens.

A fixture is a folder ``<group>/<name>`` with ``manifest.json`` (every key and shape, the rule for the weights, the
input) and ``golden.npz`` (what the authors' code gave). The folder lies beside the checkout; without it tests skip.

There are two styles. ``Fixture`` reads that of ``feedforward``, ``optimisation`` and ``upsamplers``; ``TableFixture``
that of ``difface``, ``pmrf``, ``instantrestore``, ``idm`` and ``metrics``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

ROOT = Path(os.environ.get("LIKENESS_PARITY", Path(__file__).parents[1] / "../shared/parity"))
FLOOR = 1e-4  # of the tensor's std: no golden is compared more tightly
RESULTS: list[tuple[str, int, float, float]] = []  # network, keys, worst difference (of std, or of max), seconds


class Fixture:
    """One network: ``manifest`` and ``golden`` as they are stored."""

    def __init__(self, folder: str) -> None:
        """``folder`` such as "feedforward/gfpgan_clean_512"; skips the test when it is not there."""
        path = ROOT / folder
        if not path.is_dir():
            pytest.skip(f"no parity fixture at {path} (set LIKENESS_PARITY)")
        self.name = path.name
        self.manifest: dict[str, Any] = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        self.golden = dict(np.load(path / "golden.npz"))
        self.worst, self.started = 0.0, time.perf_counter()

    def entries(self, model: str | None = None) -> list[dict[str, Any]]:
        """Those of ``model`` when the fixture holds several networks."""
        return (self.manifest["models"][model] if model else self.manifest)["entries"]  # type: ignore[no-any-return]

    def check_keys(self, net: nn.Module, model: str | None = None) -> None:
        """Exactly the manifest's keys, shapes and types."""
        want = {e["key"]: (tuple(e["shape"]), e["dtype"]) for e in self.entries(model)}
        got = {k: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in net.state_dict().items()}
        missing, extra = sorted(want.keys() - got.keys()), sorted(got.keys() - want.keys())
        assert not missing + extra, f"missing {missing[:5]} of {len(missing)}, extra {extra[:5]} of {len(extra)}"
        wrong = {k: (got[k], want[k]) for k in want if got[k] != want[k]}
        assert not wrong, f"shape or type (got, wanted): {dict(list(wrong.items())[:5])} of {len(wrong)}"

    def fill(self, net: nn.Module, model: str | None = None) -> nn.Module:
        """Check the keys, fill ``net`` by the rule, check what its constructor computed; returns it in eval mode."""
        self.check_keys(net, model)
        own = net.state_dict()
        for entry in self.entries(model):
            if entry["computed"]:
                self.check_computed(entry, own[entry["key"]])
        net.load_state_dict(self.state(own, model))
        return net.eval()

    def check_computed(self, entry: dict[str, Any], tensor: Tensor) -> None:
        if "sha256_16" in entry:
            assert digest(tensor) == entry["sha256_16"], f"computed entry {entry['key']} differs"

    def state(self, own: dict[str, Tensor], model: str | None = None) -> dict[str, Tensor]:
        """A whole state dict by the rule; computed entries are taken from ``own``."""
        rule = (self.manifest["models"][model] if model else self.manifest)["weights"]
        state: dict[str, Tensor] = {}
        for e in self.entries(model):
            key, shape = e["key"], e["shape"]
            if e["computed"]:
                state[key] = own[key]
            elif e.get("rule") == "spectral":
                continue
            elif not shape or e.get("filled") is False or "int" in e["dtype"]:
                state[key] = torch.tensor(e["default"], dtype=getattr(torch, e["dtype"])).reshape(shape)
            else:
                filled = fill(e.get("alias_of", key), shape, rule["global_gain"], rule["overrides"])
                if e.get("sha256_16"):
                    assert digest(filled) == e["sha256_16"], f"the rule was not followed for {key}"
                state[key] = filled
        for e in self.entries(model):
            if e.get("rule") == "spectral" and e["key"].endswith("_u"):
                base = e["key"].removesuffix("_u")
                state[e["key"]], state[base + "_v"] = spectral(e["key"], state[base + "_orig"])
        return state

    def input(self) -> Tensor:
        """The fixture's picture (1, 3, H, W) in [-1, 1]."""
        _, channels, height, width = self.manifest["input_size"]
        c, i, j = np.meshgrid(np.arange(channels), np.arange(height), np.arange(width), indexing="ij")
        x = np.sin(0.05 * (c + 1) * i + 0.07 * j) * np.cos(0.03 * i * (c + 1) - 0.02 * j)
        return torch.from_numpy(x.astype(np.float32))[None]

    def check(self, name: str, tensor: Tensor, floor: float = FLOOR) -> None:
        """Compare ``tensor`` with the golden called ``name`` ("out/image", "mid/encoder.0"): shape, numbers, stats.

        A golden that is itself known to be less exact than ``FLOOR`` of its std is compared with a wider ``floor``.
        """
        g = self.golden
        assert tuple(tensor.shape) == tuple(g[f"{name}/shape"]), f"{name}: shape {tuple(tensor.shape)}"
        full = tensor.detach().to(torch.float32).contiguous().numpy()
        std = max(float(g[f"{name}/stats"][1]), 1e-12)
        tolerance = max(10 * float(self.manifest.get("float64_check", {}).get(name, 0.0)), floor)
        differences = {"probe": full.reshape(-1)[g[f"{name}/probe_index"]] - g[f"{name}/probe"]}
        if f"{name}/strided" in g:
            s = int(g[f"{name}/stride"])
            sub = full[..., ::s, ::s] if full.shape[-2:] != g[f"{name}/strided"].shape[-2:] else full
            differences["strided"] = sub - g[f"{name}/strided"]
        wide = full.astype(np.float64)
        stats = np.array([wide.mean(), wide.std(), wide.min(), wide.max(), np.abs(wide).mean()])
        wanted = g[f"{name}/stats"].copy()
        wanted[4] /= wide.size
        differences["stats"] = stats - wanted
        for kind, difference in differences.items():
            worst = float(np.abs(difference).max()) / std
            self.worst = max(self.worst, worst)
            assert worst <= tolerance, f"{self.name} {name} {kind}: {worst:.2e} of std, tolerance {tolerance:.2e}"

    @contextmanager
    def checking_modules(
        self, net: nn.Module, prefix: str = "mid/", also: dict[str, str] | None = None
    ) -> Iterator[None]:
        """While it is open, the output of every module that has a golden ``<prefix><module path>`` is compared.

        ``also`` maps further golden names (without prefix) to module paths. Each found module must run, once or more
        (the first run is compared).
        """
        modules = dict(net.named_modules(remove_duplicate=False))
        paths = {n: n for n in self.names(prefix) if n in modules} | (also or {})
        seen: set[str] = set()
        handles = [modules[path].register_forward_hook(self._hook(prefix, name, seen)) for name, path in paths.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        assert seen == set(paths), f"{self.name}: these modules did not run: {sorted(set(paths) - seen)}"

    def _hook(self, prefix: str, name: str, seen: set[str]) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            if name not in seen:
                seen.add(name)
                self.check(prefix + name, output[0] if isinstance(output, tuple | list) else output)

        return hook

    def names(self, prefix: str) -> list[str]:
        """Golden names under ``prefix``, without it."""
        return [k[len(prefix) : -len("/stats")] for k in self.golden if k.startswith(prefix) and k.endswith("/stats")]

    def done(self) -> None:
        """Note the network in the table that ``pytest -m parity`` prints."""
        keys = sum(len(self.entries(model)) for model in self.manifest.get("models", [None]))
        RESULTS.append((self.name, keys, self.worst, time.perf_counter() - self.started))


class TableFixture(Fixture):
    """A fixture whose networks are ``models.<name>``, with one fill rule for all and strides in the manifest."""

    tolerance = 1e-5  # of max|golden|: the manifests suggest 1e-5 for tiny networks, 1e-4 for full ones

    def check_computed(self, entry: dict[str, Any], tensor: Tensor) -> None:
        if "sha256" in entry:
            got = hashlib.sha256(tensor.detach().contiguous().numpy().tobytes()).hexdigest()
            assert got == entry["sha256"], f"computed entry {entry['key']} differs"

    def state(self, own: dict[str, Tensor], model: str | None = None) -> dict[str, Tensor]:
        """A whole state dict by the rule; computed entries are taken from ``own``."""
        state: dict[str, Tensor] = {}
        for e in self.entries(model):
            if e["computed"]:
                state[e["key"]] = own[e["key"]]
                continue
            state[e["key"]] = filled = table_fill(e)
            total = float(filled.double().sum())
            assert abs(total - e["sum"]) <= 1e-6 * max(1.0, abs(e["sum"])), f"the rule was not followed for {e['key']}"
        return state

    def picture(self, channels: int, height: int, width: int, phase: float = 0.0) -> Tensor:
        """The manifests' image formula: (1, C, H, W) in [-1, 1]."""
        c, i, j = np.meshgrid(np.arange(channels), np.arange(height), np.arange(width), indexing="ij")
        x = np.sin(0.05 * (c + 1) * i + 0.07 * j + phase) * np.cos(0.03 * i * (c + 1) - 0.02 * j + phase)
        return torch.from_numpy(x.astype(np.float32))[None]

    def noise(self, seed: int, *shape: int) -> Tensor:
        """The manifests' noise rule: standard normal float32 of a fresh generator."""
        return torch.from_numpy(np.random.Generator(np.random.PCG64(seed)).standard_normal(shape, dtype=np.float32))

    def check(self, name: str, tensor: Tensor, floor: float | None = None) -> None:
        """Compare ``tensor`` with the golden called ``name``: a whole array, or stats, probes and a strided part.

        ``floor``: the tolerance, of max|golden|; ``self.tolerance`` when not given.
        """
        g, tolerance = self.golden, self.tolerance if floor is None else floor
        full = tensor.detach().to(torch.float32).contiguous().numpy()
        wide = full.astype(np.float64)
        if name in g:
            pairs, scale = {"array": (wide, g[name])}, float(np.abs(g[name]).max())
        else:
            layout = self.manifest["golden"]["tensors"][name]
            assert tuple(tensor.shape) == tuple(layout["shape"]), f"{name}: shape {tuple(tensor.shape)}"
            wanted = np.array(g[f"{name}/stats"], np.float64)
            scale = max(abs(wanted[2]), abs(wanted[3]))
            stats = np.array([wide.mean(), wide.std(), wide.min(), wide.max(), np.abs(wide).mean()])
            wanted[4] /= wide.size
            pairs = {"stats": (stats, wanted)}
            if f"{name}/probe" in g:
                count = len(g[f"{name}/probe"])
                index = (np.arange(count, dtype=np.int64) * 2654435761 + 12345) % wide.size
                pairs["probe"] = (wide.reshape(-1)[index], g[f"{name}/probe"])
            if f"{name}/sub" in g:
                pairs["sub"] = (wide[tuple(slice(None, None, s) for s in layout["stride"])], g[f"{name}/sub"])
            if f"{name}/full" in g:
                pairs["full"] = (wide, g[f"{name}/full"])
        for kind, (got, want) in pairs.items():
            assert got.shape == want.shape, f"{self.name} {name} {kind}: {got.shape}, not {want.shape}"
            worst = float(np.abs(got - want).max()) / max(scale, 1e-12)
            self.worst = max(self.worst, worst)
            assert worst <= tolerance, f"{self.name} {name} {kind}: {worst:.2e} of max, tolerance {tolerance:.2e}"


def table_fill(entry: dict[str, Any]) -> Tensor:
    """One tensor by the rule of the fixtures in tables."""
    key, shape, f32 = entry.get("hash_key", entry["key"]), entry["shape"], np.float32
    w = draw(key, shape)
    if len(shape) >= 2:
        w = w * f32(1.0 / np.sqrt(np.prod(shape[1:])))
    elif key.endswith("running_var"):
        w = np.abs(w) * f32(0.1) + f32(1)
    elif not key.endswith("running_mean") and key.endswith(("weight", "scale")):
        w = f32(1) + f32(0.1) * w
    else:
        w = f32(0.1) * w
    if "gain" in entry:
        w = w * f32(entry["gain"])
    return torch.from_numpy(np.abs(w) if entry.get("abs") else w)


def draw(key: str, shape: list[int] | tuple[int, ...]) -> np.ndarray:
    """The rule's standard normal numbers for ``key``."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape, dtype=np.float32)


def fill(key: str, shape: list[int], gain: float, overrides: list[dict[str, Any]]) -> Tensor:
    """One tensor by the rule of the feed-forward fixtures."""
    w, f32 = draw(key, shape), np.float32
    for o in overrides:
        if not re.search(o["pattern"], key) or ("affine1d" in o) != (len(shape) == 1):
            continue
        if "affine1d" in o:
            return torch.from_numpy(f32(o["affine1d"][0]) + f32(o["affine1d"][1]) * w)
        scale = o["s"] if "s" in o else o["gain"] / np.sqrt(np.prod(shape[1:]))
        return torch.from_numpy(w * f32(scale))
    if len(shape) >= 2:
        return torch.from_numpy(w * f32(gain / np.sqrt(np.prod(shape[1:]))))
    if key.endswith("running_var"):
        return torch.from_numpy(np.abs(w) * f32(0.1) + f32(1))
    if key.endswith("weight"):
        return torch.from_numpy(f32(1) + f32(0.1) * w)
    return torch.from_numpy(f32(0.1) * w)


def spectral(key: str, weight: Tensor) -> tuple[Tensor, Tensor]:
    """torch's spectral-norm buffers u and v for ``weight``; ``key`` is that of u."""
    matrix = weight.double().reshape(weight.shape[0], -1)
    u = torch.from_numpy(np.float32(0.1) * draw(key, [weight.shape[0]])).double()
    u = u / u.norm()
    v = matrix.T @ u
    return u.float(), (v / v.norm()).float()


def digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.detach().to(torch.float32).contiguous().numpy().tobytes()).hexdigest()[:16]
