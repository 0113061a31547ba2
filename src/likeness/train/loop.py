"""The training loop, top to bottom: data, loss, step, average, log, validate, save; resumes exactly.

Every random draw is a function of (seed, step), so a run that is killed and started again goes the way it would
have gone, and several processes go the way of one with their batches together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from likeness.train.checkpoint import LAST, find_init, load_checkpoint, save_checkpoint
from likeness.train.data import make_loader, plainly
from likeness.train.draws import Draws
from likeness.train.log import TrainingLog
from likeness.train.muon import Muon
from likeness.train.objectives import Objective
from likeness.train.processes import average_gradients
from likeness.train.recipe import OptimiserConfig, TrainRecipe
from likeness.train.validate import Validator


def train(recipe: TrainRecipe, objective: Objective, *, quiet: bool = False) -> Path:
    """Train until ``recipe.steps``; returns the checkpoint. Continues from ``recipe.output/last.ckpt`` if there."""
    last = recipe.output / LAST
    source = last if last.exists() else find_init(recipe.init)
    if source is not None:
        objective.load(source)
    accelerator = Accelerator(mixed_precision=recipe.precision, cpu=not torch.cuda.is_available())
    rank, world = accelerator.process_index, accelerator.num_processes
    generator, discriminator = objective.generator, objective.discriminator
    for module in generator.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(recipe.optimiser.ema))  # type: ignore[no-untyped-call]
    optimisers: dict[str, torch.optim.Optimizer] = {"generator": _optimiser(generator, recipe.optimiser)}
    rates = {"generator": recipe.optimiser.rate, "discriminator": objective.discriminator_rate}
    if discriminator is not None:
        optimisers["discriminator"] = _adamw(discriminator, recipe.optimiser, betas=(0.5, 0.99))
    step = _start(last, objective, ema, optimisers)

    for module in (ema, *_networks(objective)):
        module.to(accelerator.device)
    prepared = accelerator.prepare(*optimisers.values())
    stepping = dict(zip(optimisers, prepared if len(optimisers) > 1 else [prepared], strict=True))
    if recipe.compile:
        objective.generator = torch.compile(generator)  # type: ignore[assignment]

    loader = make_loader(recipe.data, recipe.seed, recipe.batch, step, rank, world)
    log = TrainingLog(recipe, accelerator.is_main_process, quiet)
    validator = None
    if recipe.validation.sources and accelerator.is_main_process:
        validator = Validator(recipe.validation, recipe.output, recipe.data.size)

    def save() -> None:
        if accelerator.is_main_process:
            save_checkpoint(
                recipe.output,
                {
                    "recipe": recipe.model_dump(mode="json"),
                    "step": step,
                    "config": objective.facts(),
                    "generator": generator.state_dict(),
                    "discriminator": None if discriminator is None else discriminator.state_dict(),
                    "ema": ema.state_dict(),
                    "optimisers": {name: o.state_dict() for name, o in optimisers.items()},
                },
            )

    with log:
        for raw in plainly(loader):
            if step >= recipe.steps:
                break
            batch = {key: value.to(accelerator.device) for key, value in raw.items()}
            draws = Draws(recipe.seed, step, rank, world)
            torch.manual_seed(draws.seed + rank)  # of networks that draw for themselves
            factor = _schedule(step, recipe.steps, recipe.optimiser)

            with accelerator.autocast():
                loss, terms, carried = objective.generator_loss(batch, step, draws)
            _update(accelerator, stepping["generator"], generator, loss, rates["generator"] * factor, recipe)
            ema.update_parameters(generator)
            if discriminator is not None:
                with accelerator.autocast():
                    loss_d, more = objective.discriminator_loss(batch, carried, step, draws)
                rate = rates["discriminator"] * min(1.0, factor * 2)
                _update(accelerator, stepping["discriminator"], discriminator, loss_d, rate, recipe)
                terms.update(more)

            step += 1
            log.write(step, terms)
            if validator is not None and step % recipe.validation.every == 0:
                log.scores(step, validator.run(objective, ema.module, step, accelerator))
            if step % recipe.save_every == 0 or step == recipe.steps:
                save()
    return recipe.output / LAST


def _optimiser(module: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    if config.name == "adamw":
        return _adamw(module, config)
    trained = [p for p in module.parameters() if p.requires_grad]
    return Muon(trained, config.rate, betas=config.betas, weight_decay=config.weight_decay)


def _adamw(module: nn.Module, config: OptimiserConfig, **changes: Any) -> torch.optim.AdamW:
    options: dict[str, Any] = {"betas": config.betas, "weight_decay": config.weight_decay, **changes}
    trained = [p for p in module.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, lr=config.rate, fused=True, **options)


def _networks(objective: Objective) -> list[nn.Module]:
    """Every network of the objective: what is trained, and what only judges."""
    return [value for value in vars(objective).values() if isinstance(value, nn.Module)]


def _schedule(step: int, steps: int, config: OptimiserConfig) -> float:
    rising = min(1.0, (step + 1) / max(1, config.warmup))
    falling = min(1.0, (steps - step) / max(1, config.decay)) if config.decay else 1.0
    return rising * falling


def _update(
    accelerator: Accelerator, optimiser: Any, module: nn.Module, loss: torch.Tensor, rate: float, recipe: TrainRecipe
) -> None:
    if not torch.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss.item()}: lower optimiser.rate, or resume from an earlier checkpoint"
        )
    for group in optimiser.param_groups:
        group["lr"] = rate
    accelerator.backward(loss)
    average_gradients(module.parameters())
    accelerator.clip_grad_norm_(module.parameters(), recipe.optimiser.clip)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def _start(last: Path, objective: Objective, ema: AveragedModel, optimisers: dict[str, torch.optim.Optimizer]) -> int:
    """Go on from the run's own ``last`` checkpoint, if it is there; returns the step to go on from."""
    if not last.exists():
        objective.start()
        ema.module.load_state_dict(objective.generator.state_dict())
        return 0
    state = load_checkpoint(last)
    objective.generator.load_state_dict(state["generator"])
    ema.load_state_dict(state["ema"])
    if objective.discriminator is not None:
        objective.discriminator.load_state_dict(state["discriminator"])
    for name, optimiser in optimisers.items():
        optimiser.load_state_dict(state["optimisers"][name])
    return int(state["step"])
