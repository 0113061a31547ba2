"""The base of every group of settings in a recipe."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid")
