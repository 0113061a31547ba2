"""CodeFormer's three stages: the equations, what each leaves alone, and where the clean codes come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("accelerate", reason="needs likeness[train]")

from published_tiny import CODEFORMER, Make, batch_of, built, parts, released, released_file, tiny

from likeness.methods.codeformer.network import CodeFormerNet
from likeness.nets.vq import Codebook
from likeness.train.draws import Draws
from likeness.train.loop import train
from likeness.train.objectives.build import build_objective
from likeness.train.objectives.image_settings import ImageConfig
from likeness.train.objectives.vqgan import (
    PatchGAN,
    adversarial_loss,
    discriminator_hinge,
    gradient_ratio,
    quantise,
)
from likeness.train.recipe import RecipeError
from likeness.weights.load import WeightsError

# Quantisation and the adversarial loss, which RestoreFormer shares


def test_codes_are_the_nearest_and_each_term_pulls_its_own_side() -> None:
    torch.manual_seed(0)
    book, z = Codebook(6, 3), torch.randn(2, 3, 4, 4, requires_grad=True)
    quantised, loss = quantise(book, z, 0.25)
    flat = z.detach().permute(0, 2, 3, 1).reshape(-1, 3)
    distances = torch.cdist(flat, book.embedding.weight.detach())
    wanted = book.embedding.weight.detach()[distances.argmin(1)].view(2, 4, 4, 3).permute(0, 3, 1, 2)
    torch.testing.assert_close(quantised.detach(), wanted)
    square = F.mse_loss(z.detach(), wanted)
    torch.testing.assert_close(loss.detach(), 1.25 * square)

    torch.autograd.backward(loss)
    assert z.grad is not None
    torch.testing.assert_close(z.grad, 0.25 * 2 * (z.detach() - wanted) / z.numel())
    pull = torch.zeros(6, 3).index_add_(0, distances.argmin(1), 2 * (wanted.permute(0, 2, 3, 1).reshape(-1, 3) - flat))
    torch.testing.assert_close(book.embedding.weight.grad, pull / z.numel())

    z.grad = None
    book.zero_grad(set_to_none=False)
    direction = torch.randn(2, 3, 4, 4)
    torch.autograd.backward((quantise(book, z, 0.25)[0] * direction).sum())
    torch.testing.assert_close(z.grad, direction)  # the codes' gradient, as it is
    moving = book.embedding.weight.grad
    assert moving is not None
    assert not moving.any()


def test_the_adversarial_loss_is_as_strong_as_the_others_at_the_last_layer() -> None:
    torch.manual_seed(0)
    last = torch.nn.Parameter(torch.randn(3, 3, 3, 3) * 0.1)
    x, clean, judge = torch.randn(1, 3, 32, 32), torch.zeros(1, 3, 32, 32), PatchGAN(8, 2)
    config = ImageConfig(adversarial=0.8)
    picture = F.conv2d(x, last, padding=1)
    seen = F.l1_loss(picture, clean)
    loss, terms = adversarial_loss(config, judge, picture, seen, last)
    (strong,) = torch.autograd.grad(loss, last, retain_graph=True)
    (wanted,) = torch.autograd.grad(seen, last, retain_graph=True)
    least = terms["ratio"] * 1e-4  # keeps the quotient finite
    assert strong.norm().item() == pytest.approx(0.8 * (wanted.norm().item() - least), rel=1e-3)
    assert all(p.grad is None and p.requires_grad for p in judge.parameters())
    assert gradient_ratio(seen, picture.mean() * 0.0, last, 7.0).item() == 7.0
    assert not gradient_ratio(seen, picture.mean(), last, 1e4).requires_grad


def test_before_its_time_the_discriminator_does_not_move() -> None:
    judge, picture = PatchGAN(8, 2), torch.randn(1, 3, 32, 32)
    config = ImageConfig(adversarial_from=3)
    loss, _ = discriminator_hinge(config, judge, picture, -picture, 2)
    torch.autograd.backward(loss)
    assert all(p.grad is not None and not p.grad.any() for p in judge.parameters())
    loss, terms = discriminator_hinge(config, judge, picture, -picture, 3)
    wanted = F.relu(1 - judge(picture)).mean() + F.relu(1 + judge(-picture)).mean()
    assert loss.item() == terms["discriminator"] == pytest.approx(wanted.item(), rel=1e-5)


def test_a_picture_is_judged_alone() -> None:
    judge, pictures = PatchGAN(8, 3), torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(judge(pictures)[:1], judge(pictures[:1]))


# Stage I


def test_the_codebook_stage_reads_clean_pictures_only(small_recipe: Make, tmp_path: Path) -> None:
    its = built("codeformer-codebook", small_recipe, tmp_path, objective={"adversarial_from": 1})
    batch = batch_of()
    loss, terms, _ = its.generator_loss(batch, 0, Draws(0, 0))
    other, _, _ = its.generator_loss({**batch, "degraded": torch.zeros_like(batch["clean"])}, 0, Draws(0, 0))
    assert loss.item() == other.item()
    assert loss.item() == pytest.approx(terms["l1"] + terms["code"], rel=1e-5)
    assert "adversarial" not in terms
    assert "adversarial" in its.generator_loss(batch, 1, Draws(0, 1))[1]
    assert its.generator.quantize.embedding.weight.abs().max() <= 1 / 32  # fresh codes


# Stage II


def test_the_transformers_losses_are_those_of_the_paper(small_recipe: Make, tmp_path: Path) -> None:
    its = built("codeformer-transformer", small_recipe, tmp_path)
    batch, net = batch_of(), its.generator
    loss, terms, _ = its.generator_loss(batch, 0, Draws(0, 0))
    clean_encoder = released("codeformer").get_submodule("encoder")
    with torch.no_grad():
        z = clean_encoder(batch["clean"], ())[0]
        flat = z.permute(0, 2, 3, 1).reshape(-1, 32)
        index = torch.cdist(flat, net.quantize.embedding.weight).argmin(1)
        lq, _ = net.encoder(batch["degraded"], ())
        logits = net.predict_codes(lq).reshape(-1, 32)
        token = -logits.log_softmax(1).gather(1, index[:, None]).mean()
        feature = (lq.permute(0, 2, 3, 1).reshape(-1, 32) - net.quantize.embedding.weight[index]).square().mean()
    assert terms["token"] == pytest.approx(token.item(), rel=1e-4)
    assert terms["feature"] == pytest.approx(feature.item(), rel=1e-4)
    assert loss.item() == pytest.approx(0.5 * token.item() + feature.item(), rel=1e-4)
    assert terms["right"] == pytest.approx((logits.argmax(1) == index).float().mean().item())


def test_the_encoder_of_clean_faces_stays_while_the_other_learns(small_recipe: Make, tmp_path: Path) -> None:
    its = built("codeformer-transformer", small_recipe, tmp_path)
    before = {key: value.clone() for key, value in its.hq.state_dict().items()}
    optimiser = torch.optim.Adam([p for p in its.generator.parameters() if p.requires_grad], lr=1e-2)
    its.generator_loss(batch_of(), 0, Draws(0, 0))[0].backward()
    optimiser.step()
    assert all(torch.equal(value, before[key]) for key, value in its.hq.state_dict().items())
    assert not torch.equal(its.generator.encoder.blocks[0].weight, its.hq.encoder.blocks[0].weight)
    assert not any(p.requires_grad for p in its.hq.parameters())
    its.load(tmp_path / "codeformer.pth")  # as a run that goes on: the clean encoder is not the one that learnt
    assert all(torch.equal(value, before[key]) for key, value in its.hq.state_dict().items())


def test_stage_one_of_ours_needs_no_further_file(small_recipe: Make, tmp_path: Path) -> None:
    first = tiny("codeformer-codebook", small_recipe, tmp_path, output="first", steps=1)
    last = train(first, build_objective(first), quiet=True)
    its: Any = build_objective(
        tiny("codeformer-transformer", small_recipe, tmp_path, init=str(last), objective={"hq": None})
    )
    its.start()
    assert its.hq.path == last
    assert torch.equal(its.hq.encoder.blocks[0].weight, its.generator.encoder.blocks[0].weight)


def test_the_authors_own_file_of_stage_one_will_do(small_recipe: Make, tmp_path: Path) -> None:
    """It has no transformer."""
    state = released("codeformer").state_dict()
    path = tmp_path / "vqgan_code1024.pth"
    kept = {k: v for k, v in state.items() if k.split(".")[0] in ("encoder", "quantize", "generator")}
    torch.save({"params_ema": kept}, path)
    its = built("codeformer-fusion", small_recipe, tmp_path, objective={"hq": str(path)})
    assert torch.equal(its.hq.encoder.blocks[0].weight, state["encoder.blocks.0.weight"])


@pytest.mark.parametrize("name", ["codeformer-transformer", "codeformer-fusion"])
def test_without_stage_one_it_is_said_what_to_name(name: str, small_recipe: Make, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"objective\.hq is not set, and init is not stage I .*vqgan_code1024") as e:
        build_objective(tiny(name, small_recipe, tmp_path, objective={"hq": None}))
    assert len(str(e.value).splitlines()) == 1
    with pytest.raises(RecipeError, match=r"objective\.hq: nowhere\.pth is not there"):
        build_objective(tiny(name, small_recipe, tmp_path, objective={"hq": "nowhere.pth"}))
    with pytest.raises(RecipeError, match="goes on from other weights: set init"):
        build_objective(tiny(name, small_recipe, tmp_path, init=None))


def test_stage_one_of_another_run_is_refused(small_recipe: Make, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    torch.save({"params_ema": released("codeformer", seed=5).state_dict()}, other)
    with pytest.raises(WeightsError, match=r"other\.pth has another codebook than init"):
        built("codeformer-transformer", small_recipe, tmp_path, objective={"hq": str(other)})


# Stage III


@pytest.mark.parametrize(
    ("settings", "learning"),
    [
        ({"encoder": False, "hq": None}, {"fuse_convs_dict"}),
        ({}, {"fuse_convs_dict", "encoder"}),
        (
            {"transformer": True},
            {"fuse_convs_dict", "encoder", "position_emb", "feat_emb", "ft_layers", "idx_pred_layer"},
        ),
    ],
)
def test_the_fusion_stage_trains_what_it_is_asked_to(
    settings: dict[str, Any], learning: set[str], small_recipe: Make, tmp_path: Path
) -> None:
    its = built("codeformer-fusion", small_recipe, tmp_path, objective=settings)
    loss, terms, _ = its.generator_loss(batch_of(), 0, Draws(0, 0))
    loss.backward()
    got = {key for key, p in its.generator.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert parts(got) == learning
    assert ("token" in terms) == (its.hq is not None) == ("hq" not in settings)


def test_the_fusion_stage_trains_at_fidelity_one(small_recipe: Make, tmp_path: Path) -> None:
    its = built("codeformer-fusion", small_recipe, tmp_path)
    batch = batch_of()
    _, terms, picture = its.generator_loss(batch, 0, Draws(0, 0))
    with torch.no_grad():
        wanted = its.generator(batch["degraded"], 1.0, False)
    torch.testing.assert_close(picture, wanted)
    assert terms["l1"] == pytest.approx((wanted - batch["clean"]).abs().mean().item(), rel=1e-4)


# Sizes


def test_a_network_for_smaller_faces_restores_large_ones(small_recipe: Make, tmp_path: Path) -> None:
    from likeness.methods import load

    restorer: Any = load(weights=released_file("codeformer", tmp_path), device="cpu")
    assert isinstance(restorer.net, CodeFormerNet)
    small = F.interpolate(torch.rand(1, 3, 8, 8), size=64, mode="bilinear")
    large = F.interpolate(small, scale_factor=8, mode="nearest")
    with torch.no_grad():
        face = restorer.net(small * 2 - 1, 0.5, True)
    wanted = F.interpolate(face, size=512, mode="bilinear").clamp(-1, 1)
    torch.testing.assert_close(restorer.restore(large), (wanted + 1) / 2, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"widths": [32, 40]}, "widths must be multiples of 32"),
        ({"fused": [8]}, r"fused must be among \[64, 32, 16\], got 8"),
        ({"widths": [32] * 7}, "7 widths are too many for 64 pixels"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    network: dict[str, Any], message: str, small_recipe: Make, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny("codeformer-codebook", small_recipe, tmp_path, objective={"network": {**CODEFORMER, **network}})
