"""InstantRestore against the numbers of the authors' code: keys, shared attention, and the whole forward."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import parity_fixture
from likeness.methods import instantrestore
from likeness.methods.instantrestore.attention import Attend, Shared, join, split_heads
from likeness.methods.instantrestore.config import NetworkConfig, TextConfig
from likeness.methods.instantrestore.lora import merge
from likeness.methods.instantrestore.network import InstantRestoreNet
from likeness.methods.instantrestore.one_step import OneStep
from parity_fixture import TableFixture

pytestmark = pytest.mark.parity
pytest.importorskip("diffusers", reason="needs the extra: pip install 'likeness[diffusers]'")

TINY = NetworkConfig(
    unet_widths=(32, 32, 64, 64),
    unet_heads=(2, 2, 4, 4),
    unet_groups=16,
    unet_rank=4,
    vae_widths=(16, 16, 32, 32),
    vae_depth=1,
    vae_groups=8,
    vae_rank=4,
    text=TextConfig(words=100, dim=24, feedforward=48, layers=2, heads=2),
)
RUNS: dict[str, dict[str, Any]] = {
    "final_valid3": {"valid": 3, "adain": True, "own_keys": False},
    "final_valid2": {"valid": 2, "adain": True, "own_keys": False},
    "noadain_input": {"valid": 3, "adain": False, "own_keys": True},
}


@contextmanager
def collecting(module: nn.Module) -> Iterator[list[Tensor]]:
    """The outputs of ``module``, which is called once for each picture."""
    outputs: list[Tensor] = []
    handle = module.register_forward_hook(lambda _, __, output: outputs.append(output))
    try:
        yield outputs
    finally:
        handle.remove()


def run(fixture: TableFixture, one_step: OneStep, name: str) -> tuple[Tensor, Tensor]:
    """The restored face and the references given back. Noise is drawn in the order that the fixture noted."""
    noises = [fixture.noise(*row) for row in fixture.golden[f"{name}/noise_log"].tolist()]
    settings = dict(RUNS[name])
    photos = torch.cat([fixture.picture(3, 128, 128, phase) for phase in (0.2, 0.4, 0.6)])
    references = one_step.look_at(photos, noises[1], noises[2]).cleared(settings.pop("valid"))
    image = one_step.restore(fixture.picture(3, 128, 128), references, noises[0], noises[4], **settings)
    return image, one_step.decode(one_step.original_vae, references.latents)


def check_tiny(fixture: TableFixture) -> None:
    net = InstantRestoreNet(TINY)
    fixture.fill(net, "net")
    parts, token_ids = net.net, fixture.manifest["models"]["net"]["kwargs"]["token_ids"]
    text = parts.text_encoder(tuple(token_ids))
    fixture.check("caption_enc", text)
    one_step = OneStep(parts.unet, parts.vae, parts.original_unet, parts.original_vae, text)

    whole = dict(fixture.golden)  # the reference encoder runs picture by picture: its golden is compared by hand
    fixture.golden = {key: value for key, value in whole.items() if "mid/original_vae.encoder" not in key}
    with collecting(parts.original_vae.get_submodule("encoder")) as encoded, fixture.checking_modules(parts):
        run(fixture, one_step, "final_valid3")
    fixture.golden = whole
    fixture.check("mid/original_vae.encoder", torch.cat(encoded))

    for merged in (False, True):  # as in the file, and as the restorer uses them
        if merged:
            merge(parts)
            assert not any("lora" in key for key in parts.state_dict())
        for name in RUNS:
            image, photos = run(fixture, one_step, name)
            fixture.check(f"{name}/output", image)
            fixture.check(f"{name}/output_conditions", photos)


def check_shared_attention(fixture: TableFixture) -> None:
    from diffusers.models.attention_processor import Attention
    from diffusers.utils.torch_utils import fourier_filter

    kwargs = fixture.manifest["models"]["attn"]["kwargs"]
    attn = fixture.fill(Attention(**kwargs), "attn")
    hidden, keys = fixture.noise(41, 2, 20, 48), fixture.noise(42, 2, 4, 20, 48)
    values = fixture.noise(43, 2, 4, 20, 48) * 1.5 + 0.3
    keys[1, 3:], values[1, 3:] = 0, 0
    attn.set_processor(Attend(0))
    fixture.check("plain/out", attn(hidden))
    for adain in (False, True):
        for own_keys in (False, True):
            shared = Shared({0: (keys, values)}, adain, own_keys)
            name = f"adain{int(adain)}_input{int(own_keys)}"
            fixture.check(f"{name}/out", attn(hidden, shared=shared))
            joined, _ = join(attn.to_k(hidden), attn.to_v(hidden), 0, shared)
            query, key = (split_heads(x, attn.heads) for x in (attn.to_q(hidden), joined))
            fixture.check(f"{name}/probs", (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1))
    for name, seed, shape, scale in (("8x8", 44, (1, 2, 8, 8), 0.9), ("4x6", 45, (1, 2, 4, 6), 0.2)):
        fixture.check(f"fourier_filter_{name}", fourier_filter(fixture.noise(seed, *shape), threshold=1, scale=scale))


CHECKS = {"instantrestore_tiny": check_tiny, "instantrestore_shared_attention": check_shared_attention}


@pytest.mark.parametrize("name", CHECKS)
@torch.inference_mode()
def test_parity(name: str) -> None:
    fixture = TableFixture(f"instantrestore/{name}")
    CHECKS[name](fixture)
    fixture.done()


def full_keys() -> dict[str, Any]:
    import json

    path = parity_fixture.ROOT / "instantrestore/instantrestore_full_keys/manifest.json"
    if not path.is_file():
        pytest.skip(f"no parity fixture at {path} (set LIKENESS_PARITY)")
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_keys_instantrestore_full_keys() -> None:
    """The released file's keys, shapes and types; and how large its five parts are. Nothing is computed here."""
    started, manifest = time.perf_counter(), full_keys()
    want = {key: (tuple(shape), dtype) for key, shape, dtype in manifest["entries"]}
    net = instantrestore.networks()["net"]
    got = {key: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for key, v in net.state_dict().items()}
    assert got == want
    for prefix, numbers in manifest["parameters"].items():
        assert sum(v.numel() for key, v in net.state_dict().items() if key.startswith(prefix)) == numbers
    parity_fixture.RESULTS.append(("instantrestore_full_keys", len(want), 0.0, time.perf_counter() - started))
