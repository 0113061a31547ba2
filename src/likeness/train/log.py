"""What a training run says: progress on the terminal, ``log.jsonl``, TensorBoard."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from likeness.train.recipe import TrainRecipe


def say(text: str) -> None:
    """One line for people."""
    print(text, file=sys.stderr)


class TrainingLog:
    """Progress on the terminal, ``log.jsonl``, and TensorBoard."""

    def __init__(self, recipe: TrainRecipe, main: bool, quiet: bool) -> None:
        self.recipe, self.main = recipe, main
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            disable=quiet or not main,
        )
        self.sums: dict[str, list[float]] = {}
        self.began = time.monotonic()
        self.first: int | None = None
        self.board: Any = None

    def __enter__(self) -> TrainingLog:
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
