"""DifFace's networks, schedule and sampling against the numbers of the authors' code."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from likeness.diffusion import Schedule, spread_evenly, strided
from likeness.methods.difface.contraction import Contraction
from likeness.methods.difface.filler import InpaintingRestorer
from likeness.methods.difface.inpainting import black_pixels
from likeness.methods.difface.lama import Lama, LamaConfig, read_lama_config
from likeness.methods.difface.restorer import DifFaceRestorer
from likeness.methods.difface.sampling import SCHEDULE, denoised, diffused
from likeness.methods.difface.unet import INPAINTING, RESTORATION, UNet, UNetConfig, read_unet_config
from likeness.nets.swinir import SwinIR, SwinIRConfig, read_swinir_config
from parity_fixture import TableFixture

pytestmark = pytest.mark.parity

TINY_UNET = UNetConfig(32, (32, 64, 64, 128), (1, 2, 1, 1), (2, 3), head_dim=32)
TINY_SWINIR = SwinIRConfig(img_size=16, embed_dim=36, depths=(2, 2), num_heads=(6, 6), mlp_dim=72)
TINY_LAMA = LamaConfig(width=8, blocks=2, far=48)
UNETS = {"difface_unet_tiny": TINY_UNET, "difface_unet512_full": RESTORATION, "difface_unet256_full": INPAINTING}
TEN = Schedule.linear().respaced(strided(1000, 10))
CPU = torch.device("cpu")


class Counted(TableFixture):
    """Remembers what was compared."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.compared: set[str] = set()

    def check(self, name: str, tensor: Tensor, floor: float | None = None) -> None:
        super().check(name, tensor, floor)
        self.compared.add(name)


def check_unet(fixture: Counted) -> None:
    config = UNETS[fixture.name]
    net = fixture.fill(UNet(config), "unet")
    assert read_unet_config(net.state_dict()) == replace(config, head_dim=64)  # which no shape tells
    side = 128 if config is RESTORATION else 64
    first, second = fixture.manifest["timesteps"]
    with fixture.checking_modules(net):
        fixture.check(f"out_t{first}", net(fixture.picture(3, side, side), torch.tensor([first])))
    fixture.check(f"out_t{second}", net(fixture.picture(3, side, side), torch.tensor([second])))


def check_swinir(fixture: Counted) -> None:
    config = TINY_SWINIR if fixture.name.endswith("tiny") else SwinIRConfig()
    net = fixture.fill(SwinIR(config), "swinir")
    assert read_swinir_config(net.state_dict()) == config
    with fixture.checking_modules(net):
        fixture.check("out_128x128", net(fixture.picture(3, 128, 128) * 0.5 + 0.5))
    fixture.check("out_128x192", net(fixture.picture(3, 128, 192) * 0.5 + 0.5))


def check_lama(fixture: Counted) -> None:
    net = fixture.fill(Lama(), "lama")
    assert read_lama_config(net.state_dict()) == LamaConfig()
    x = torch.cat([fixture.picture(3, 128, 128) * 0.5 + 0.5, torch.zeros(1, 1, 128, 128)], dim=1)
    x[:, :3, 32:80, 40:88], x[:, 3:, 32:80, 40:88] = 0, 1
    with fixture.checking_modules(net):
        fixture.check("out", net(x))


def check_schedule(fixture: Counted) -> None:
    """All tables in float64."""
    full = Schedule.linear()
    at = {"full": [0, 1, 2, 99, 100, 399, 400, 401, 498, 499, 500, 996, 997, 998, 999]}
    schedules = {
        "full": full,
        "r250": full.respaced(spread_evenly(1000, 250)),
        "ddim250": SCHEDULE,
        "s10": full.respaced(spread_evenly(1000, 10)),
    }
    for name, schedule in schedules.items():
        for what, table in tables(schedule).items():
            wanted = fixture.golden[f"{name}/{what}"]
            fixture.compared.add(f"{name}/{what}")
            got = table[at.get(name, slice(None))] if what != "timestep_map" or name != "full" else table[[0, -1]]
            worst = float(np.abs(got - wanted).max() / np.abs(wanted).max())
            fixture.worst = max(fixture.worst, worst)
            np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=0, err_msg=f"{name}/{what}")
    sub = Schedule.from_betas(cosine_betas()).betas[[0, 1, 2, 99, 100, 400, 500, 998, 999]]
    np.testing.assert_allclose(sub, fixture.golden["cosine1000/betas_sub"], rtol=1e-10, atol=0)
    fixture.compared.add("cosine1000/betas_sub")


def cosine_betas() -> np.ndarray:
    """The cosine schedule (Nichol and Dhariwal 2021), which DifFace does not use, with betas up to 0.999."""
    gamma = np.array([math.cos((i / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(1001)])
    return np.asarray(np.minimum(1 - gamma[1:] / gamma[:-1], 0.999))


def tables(schedule: Schedule) -> dict[str, np.ndarray]:
    """What the authors' code tabulates of a schedule, by their names."""
    gammas, variance = schedule.gammas, schedule.posterior_variance
    of_x0, of_x_t = schedule.posterior_mean
    return {
        "betas": schedule.betas,
        "alphas_cumprod": gammas,
        "alphas_cumprod_prev": schedule.gammas_before,
        "sqrt_alphas_cumprod": np.sqrt(gammas),
        "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - gammas),
        "sqrt_recip_alphas_cumprod": np.sqrt(1 / gammas),
        "sqrt_recipm1_alphas_cumprod": np.sqrt(1 / gammas - 1),
        "posterior_variance": variance,
        "posterior_log_variance_clipped": np.log(np.append(variance[1], variance[1:])),
        "posterior_mean_coef1": of_x0,
        "posterior_mean_coef2": of_x_t,
        "timestep_map": schedule.times,
    }


def check_pipeline(fixture: Counted) -> None:
    unet, swinir = fixture.fill(UNet(TINY_UNET), "unet"), fixture.fill(SwinIR(TINY_SWINIR), "swinir")
    lama = fixture.fill(Lama(TINY_LAMA), "lama")
    assert isinstance(unet, UNet)
    photo = fixture.picture(3, 64, 64) * 0.5 + 0.5
    for name, eta in {"restore_ddim4_eta0.5": 0.5, "restore_ddim4_eta0": 0.0}.items():
        restorer = DifFaceRestorer(unet, swinir, CPU, torch.float32, "", TEN)
        check_steps(fixture, name, restorer, photo, 4, eta)
        fixture.check(f"{name}/sample", restorer.run(photo, noises(fixture, name), 4, eta))

    name, wide = "restore_r250_start3_eta0.5_resize", fixture.picture(3, 96, 80) * 0.5 + 0.5
    restorer = DifFaceRestorer(unet, swinir, CPU, torch.float32, "")
    check_steps(fixture, name, restorer, restorer.resized(wide), 3, 0.5)
    fixture.check(f"{name}/sample", restorer.run(wide, noises(fixture, name), 3, 0.5))

    name = "inpaint_ddim4_eta1_gamma0.5"
    photo[:, :, 16:40, 20:44] = 0
    hole = black_pixels(photo)
    filler = InpaintingRestorer(unet, lama, CPU, torch.float32, "", TEN)
    known, correct = filler.conditions(photo, hole, 0.5)
    check_steps(fixture, name, filler, known, 4, 1.0, correct)
    fixture.check(f"{name}/sample", filler.fill(photo, hole, noises(fixture, name), 4, 1.0, 0.5))
    fixture.check(f"{name}/sample_mask_back", filler.run(photo, hole, noises(fixture, name), 4, 1.0, 0.5))


def noises(fixture: Counted, name: str) -> Callable[[], Tensor]:
    """The draws of the run called ``name``."""
    draws = iter(fixture.golden[f"{name}/seeds"])
    return lambda: fixture.noise(int(next(draws)), 1, 3, 64, 64)


def check_steps(
    fixture: Counted,
    name: str,
    restorer: Contraction,
    given: Tensor,
    steps: int,
    eta: float,
    correct: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """The estimate from what the estimator is ``given``, the noised start, and every step of the way."""
    noise, schedule = noises(fixture, name), restorer.schedule
    estimate = restorer.estimate(given)
    fixture.check(f"{name}/im_hq", estimate)
    x = diffused(estimate, schedule, steps, noise())
    fixture.check(f"{name}/x_start", x)
    way = denoised(restorer.predict, x, schedule, steps, eta, noise, correct)
    for count, step in enumerate(way):
        fixture.check(f"{name}/step{count}_t{steps - 1 - count}_pred_xstart", step.x0)
        fixture.check(f"{name}/step{count}_t{steps - 1 - count}_sample", step.x)


CHECKS = {
    "difface_unet_tiny": check_unet,
    "difface_unet512_full": check_unet,
    "difface_unet256_full": check_unet,
    "difface_swinir_tiny": check_swinir,
    "difface_swinir_full": check_swinir,
    "difface_lama_full": check_lama,
    "difface_schedule": check_schedule,
    "difface_pipeline_tiny": check_pipeline,
}


@pytest.mark.parametrize("name", CHECKS)
@torch.inference_mode()
def test_parity(name: str) -> None:
    fixture = Counted(f"difface/{name}")
    fixture.tolerance = 1e-4 if name.endswith("full") else 1e-4 if "pipeline" in name else 1e-5
    CHECKS[name](fixture)
    given = {tensor for tensor in fixture.manifest["golden"]["tensors"] if not tensor.endswith("/seeds")}
    assert fixture.compared == given
    fixture.done()
