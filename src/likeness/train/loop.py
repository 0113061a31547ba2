"""The training loop, top to bottom: data, loss, step, average, log, validate, save; resumes exactly.

Every random draw is a function of (seed, step), so a run that is killed and started again goes the way it would
have gone.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from likeness.train.checkpoint import LAST, load_checkpoint, save_checkpoint
from likeness.train.data import make_loader
from likeness.train.objectives import Objective
from likeness.train.recipe import OptimiserConfig, TrainRecipe
from likeness.train.validate import Validator


def train(recipe: TrainRecipe, objective: Objective, *, quiet: bool = False) -> Path:
    """Train until ``recipe.steps``; returns the checkpoint. Continues from ``recipe.output/last.ckpt`` if there."""
    accelerator = Accelerator(mixed_precision=recipe.precision, cpu=not torch.cuda.is_available())
    rank, world = accelerator.process_index, accelerator.num_processes
    generator, discriminator = objective.generator, objective.discriminator
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(recipe.optimiser.ema))
    optimisers = {"generator": _adamw(generator, recipe.optimiser.rate, recipe.optimiser)}
    if discriminator is not None:
        rate = recipe.objective.discriminator_rate
        optimisers["discriminator"] = _adamw(discriminator, rate, recipe.optimiser, betas=(0.5, 0.99))
    step = _start(recipe, generator, discriminator, ema, optimisers)

    modules = [m for m in (generator, discriminator) if m is not None]
    ema.to(accelerator.device)
    prepared = accelerator.prepare(*modules, *optimisers.values())
    objective.generator = prepared[0]
    if discriminator is not None:
        objective.discriminator = prepared[1]
    stepping = dict(zip(optimisers, prepared[len(modules) :], strict=True))
    if recipe.compile:
        objective.generator = torch.compile(objective.generator)  # type: ignore[assignment]

    loader = make_loader(recipe.data, recipe.seed, recipe.batch, step, rank, world)
    log = _Log(recipe, accelerator.is_main_process, quiet)
    validator = Validator(recipe.validation, recipe.output) if recipe.validation.sources else None

    def save() -> None:
        if accelerator.is_main_process:
            save_checkpoint(
                recipe.output,
                {
                    "recipe": recipe.model_dump(mode="json"),
                    "step": step,
                    "generator": generator.state_dict(),
                    "discriminator": None if discriminator is None else discriminator.state_dict(),
                    "ema": ema.state_dict(),
                    "optimisers": {name: o.state_dict() for name, o in optimisers.items()},
                },
            )

    with log:
        for raw in loader:
            if step >= recipe.steps:
                break
            batch = {key: value.to(accelerator.device) for key, value in raw.items()}
            rng = torch.Generator().manual_seed((recipe.seed * 1_000_003 + step) * world + rank)
            factor = _schedule(step, recipe.steps, recipe.optimiser)

            with accelerator.autocast():
                loss, terms, carried = objective.generator_loss(batch, step, rng)
            _update(accelerator, stepping["generator"], prepared[0], loss, recipe.optimiser.rate * factor, recipe)
            ema.update_parameters(generator)
            if objective.discriminator is not None:
                with accelerator.autocast():
                    loss_d, more = objective.discriminator_loss(batch, carried)
                rate = recipe.objective.discriminator_rate * min(1.0, factor * 2)
                _update(accelerator, stepping["discriminator"], prepared[1], loss_d, rate, recipe)
                terms.update(more)

            step += 1
            log.write(step, terms)
            if validator is not None and accelerator.is_main_process and step % recipe.validation.every == 0:
                log.scores(step, validator.run(objective, ema.module, step, accelerator))
            if step % recipe.save_every == 0 or step == recipe.steps:
                save()
    return recipe.output / LAST


def _adamw(module: nn.Module, rate: float, config: OptimiserConfig, **changes: Any) -> torch.optim.AdamW:
    options: dict[str, Any] = {"betas": config.betas, "weight_decay": config.weight_decay, **changes}
    return torch.optim.AdamW(module.parameters(), lr=rate, fused=True, **options)


def _schedule(step: int, steps: int, config: OptimiserConfig) -> float:
    rising = min(1.0, (step + 1) / max(1, config.warmup))
    falling = min(1.0, (steps - step) / max(1, config.decay)) if config.decay else 1.0
    return rising * falling


def _update(
    accelerator: Accelerator, optimiser: Any, module: nn.Module, loss: torch.Tensor, rate: float, recipe: TrainRecipe
) -> None:
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss.item()}: lower optimiser.rate, or resume from an earlier checkpoint")
    for group in optimiser.param_groups:
        group["lr"] = rate
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(module.parameters(), recipe.optimiser.clip)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def _start(
    recipe: TrainRecipe,
    generator: nn.Module,
    discriminator: nn.Module | None,
    ema: AveragedModel,
    optimisers: dict[str, torch.optim.AdamW],
) -> int:
    """Load the run's own last checkpoint, else ``recipe.init``; returns the step to go on from."""
    last = recipe.output / LAST
    if last.exists():
        state = load_checkpoint(last)
        generator.load_state_dict(state["generator"])
        ema.load_state_dict(state["ema"])
        if discriminator is not None:
            discriminator.load_state_dict(state["discriminator"])
        for name, optimiser in optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        return int(state["step"])
    if recipe.init is not None:
        generator.load_state_dict(load_averaged(recipe.init))
        ema.module.load_state_dict(generator.state_dict())
    return 0


def load_averaged(path: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of a checkpoint of ours, or all of a .safetensors file, as float32."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return {key: value.float() for key, value in load_file(path).items()}
    state = load_checkpoint(path)["ema"]
    return {key.removeprefix("module."): value for key, value in state.items() if key.startswith("module.")}


class _Log:
    """Progress on the terminal, ``log.jsonl``, and TensorBoard."""

    def __init__(self, recipe: TrainRecipe, main: bool, quiet: bool) -> None:
        self.recipe, self.main = recipe, main
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), disable=quiet or not main
        )
        self.sums: dict[str, list[float]] = {}
        self.began = time.monotonic()
        self.first: int | None = None
        self.board: Any = None

    def __enter__(self) -> _Log:
        if self.main:
            from torch.utils.tensorboard import SummaryWriter

            self.recipe.output.mkdir(parents=True, exist_ok=True)
            self.board = SummaryWriter(str(self.recipe.output / "tensorboard"))
        self.progress.start()
        self.task = self.progress.add_task("training", total=self.recipe.steps)
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
        if self.board is not None:
            self.board.close()

    def write(self, step: int, terms: dict[str, float]) -> None:
        if self.first is None:
            self.first = step - 1
        for key, value in terms.items():
            self.sums.setdefault(key, []).append(value)
        self.progress.update(self.task, completed=step)
        if self.main and step % self.recipe.log_every == 0:
            means = {key: sum(v) / len(v) for key, v in self.sums.items()}
            means["seconds_per_step"] = (time.monotonic() - self.began) / max(1, step - self.first)
            self.sums.clear()
            self.progress.update(self.task, description=" ".join(f"{k} {v:.4f}" for k, v in means.items()))
            self._record(step, means)

    def scores(self, step: int, scores: dict[str, float]) -> None:
        self.progress.console.print(f"step {step}: " + " ".join(f"{k} {v:.3f}" for k, v in scores.items()))
        self._record(step, scores)

    def _record(self, step: int, values: dict[str, float]) -> None:
        with (self.recipe.output / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in values.items()}}) + "\n")
        for key, value in values.items():
            self.board.add_scalar(key, value, step)
