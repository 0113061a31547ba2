"""Options of a method, as several commands take them."""

from __future__ import annotations


def option_pairs(texts: list[str]) -> dict[str, float]:
    """``NAME=NUMBER`` texts as a mapping. Raises ValueError for another form."""
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        try:
            pairs[name] = float(value)
        except ValueError:
            separator = ""
        if not (name and separator):
            raise ValueError(f"--option looks like NAME=NUMBER, got {text!r}")
    return pairs
