"""Which pair a rater sees next: the one with the fewest answers so far, on sides drawn for this rater."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations

from likeness.study.rating.answers import Answers, Shown
from likeness.study.rating.pictures import Material

QUESTION = "Which face looks better?"
IDENTITY = "Which looks more like the same person as the reference?"


def items(material: Material) -> list[tuple[str, str, str]]:
    """All that can be asked: (picture, method, method), the methods in the order of their names."""
    pairs = list(combinations(sorted(material.methods), 2))
    return [(picture, *pair) for picture in material.pictures for pair in pairs]


def answered_by(material: Material, shown: list[Shown], rater: str) -> int:
    """How many pairs of what is rated now this rater has answered."""
    there = set(items(material))
    return sum(1 for one in shown if one.rater == rater and one.answered and _item(one) in there)


def next_pair(material: Material, answers: Answers, rater: str, question: str, limit: int, seed: int) -> Shown | None:
    """The pair that is on this rater's screen, or else the next; None when they have answered ``limit``, or all.

    Of the pairs they have not seen: the one with the fewest answers by anyone, then of the two methods that have met
    least, then of the picture they have seen least, then one that is not on somebody else's screen, then by lot.
    """
    shown = answers.all_shown(question)
    there = items(material)
    known = set(there)
    mine = [one for one in shown if one.rater == rater and _item(one) in known]
    waiting = [one for one in mine if not one.answered]
    if waiting:
        return waiting[-1]
    seen = {_item(one) for one in mine}
    left = [item for item in there if item not in seen]
    if len(seen) >= limit or not left:
        return None
    answered = Counter(_item(one) for one in shown if one.answered)
    met = Counter(item[1:] for item in answered.elements())
    looked = Counter(picture for picture, _, _ in seen)
    out = Counter(_item(one) for one in shown if not one.answered)
    keys = {item: (answered[item], met[item[1:]], looked[item[0]], out[item]) for item in left}
    least = min(keys.values())
    lot = random.Random(f"{seed}/{rater}/{question}/{len(seen)}")  # of text, hence the same in every process
    picture, *pair = lot.choice([item for item in left if keys[item] == least])
    lot.shuffle(pair)
    return answers.show(rater, question, picture, *pair)


def _item(one: Shown) -> tuple[str, str, str]:
    first, second = sorted((one.left, one.right))
    return one.picture, first, second
