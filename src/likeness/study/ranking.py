"""Which method for what: rankings by stated rules, in which differences that may be chance are ties.

Pure functions of the values of each contender and picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from likeness.measure.metric import MetricCard
from likeness.study.statistics import Estimate, bootstrap

PREFERENCES = ("fidelity", "perception", "identity", "speed")
BASELINE = "input"
FEWEST = 6  # pictures: five can all differ in the same direction by chance (1 in 16), six hardly (1 in 32)
TIES = (
    "A method that is not told apart from the best one ahead of it (95 % interval of their difference, bootstrap over "
    f"the pictures that all ranked methods have) shares its place; with fewer than {FEWEST} pictures "
    "nothing is told apart."
)

Values = Mapping[str, Mapping[str, float]]  # contender -> picture -> value
Verdict = Literal["better", "worse", "not told apart"]


@dataclass(frozen=True)
class Criterion:
    """A metric with the values of all contenders, the baseline's ("input") among them when it has any."""

    card: MetricCard
    values: Values


@dataclass(frozen=True)
class Place:
    """A contender's place, from 1; ``shared``: who has the same one; ``against_input``: beside doing nothing."""

    place: int
    name: str
    estimate: Estimate
    shared: tuple[str, ...] = ()
    against_input: Verdict | None = None


@dataclass(frozen=True)
class Ranking:
    """The order of a preference: its ``rule`` and what came out, in words (``sentence``) and as ``places``.

    ``left_out``: contenders that are not ranked, and why; ``pictures``: how many the order is made of.
    """

    prefer: str
    rule: str
    sentence: str
    places: tuple[Place, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    pictures: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "rule": self.rule,
            "sentence": self.sentence,
            "places": [
                {
                    "place": one.place,
                    "name": one.name,
                    "value": round(one.estimate.value, 6),
                    "shared": list(one.shared),
                    "against_input": one.against_input,
                }
                for one in self.places
            ],
            "left_out": dict(self.left_out),
            "pictures": self.pictures,
        }


def told_apart(a: Mapping[str, float], b: Mapping[str, float], higher_is_better: bool) -> Verdict:
    """How ``a`` stands to ``b`` over the pictures that both have.

    "not told apart": the bootstrap interval of the mean difference holds 0, or there are fewer than six pictures.
    """
    both = [a[picture] - b[picture] for picture in a if picture in b]
    if len(both) < FEWEST:
        return "not told apart"
    _, low, high = bootstrap(np.array(both))
    if low <= 0 <= high:
        return "not told apart"
    return "better" if (low > 0) == higher_is_better else "worse"


def groups(names: Sequence[str], criteria: Sequence[Criterion]) -> list[list[str]]:
    """``names`` from best to worst, in groups that share a place.

    By the mean of the first criterion; a contender belongs to the group of the best one before it when it is not told
    apart from it, and the next criterion then orders the group. All names need values of the first criterion.
    """
    if not criteria or len(names) < 2:
        return [list(names)] if names else []
    first, rest = criteria[0], criteria[1:]
    sign = -1 if first.card.higher_is_better else 1
    order = sorted(names, key=lambda name: sign * float(np.mean(list(first.values[name].values()))))
    found: list[list[str]] = []
    for name in order:
        ahead = found[-1][0] if found else None
        if ahead is not None and _tied(ahead, name, first):
            found[-1].append(name)
        else:
            found.append([name])
    if rest and all(name in rest[0].values for name in names):
        return [part for group in found for part in groups(group, rest)]
    return found


def leaders(criterion: Criterion) -> list[str]:
    """The contenders (not the baseline) that are best by this metric, or not told apart from the best."""
    names = [name for name, values in criterion.values.items() if values and name != BASELINE]
    return groups(names, [criterion])[0] if names else []


def rank(prefer: str, criteria: Mapping[str, Criterion], same_person: Mapping[str, float] | None = None) -> Ranking:
    """The ranking for ``prefer``, one of ``PREFERENCES``, from the metrics that were measured, by name.

    ``same_person``: the share of each contender's faces that are likely still the same person, for "speed" without a
    truth. Metrics that are not finite for a picture must be left out of its values. Raises ValueError for another name.
    """
    if prefer not in PREFERENCES:
        raise ValueError(f"unknown preference {prefer!r}; choose from {', '.join(PREFERENCES)}")
    chosen, rule, missing = _rule(prefer, criteria)
    if not chosen:
        return Ranking(prefer, rule, f"No ranking for {prefer}: {missing}.")
    left_out: dict[str, str] = {}
    names = [name for name in chosen[0].values if name != BASELINE]
    if prefer == "speed":
        left_out = _strangers(names, criteria, same_person or {})
        names = [name for name in names if name not in left_out]
    names, pictures = _common(names, chosen, left_out)
    if not pictures:
        return Ranking(prefer, rule, _nobody(prefer, left_out), (), left_out)
    kept = [_only(criterion, pictures) for criterion in chosen]
    places = _places(groups(names, kept), kept[0])
    return Ranking(prefer, rule, _sentence(prefer, places, kept[0], len(pictures)), places, left_out, len(pictures))


def _rule(prefer: str, criteria: Mapping[str, Criterion]) -> tuple[list[Criterion], str, str]:
    """What is compared in which order, the rule in words, and what is missing when there is nothing to compare."""
    has = {name: criterion for name, criterion in criteria.items() if any(criterion.values.values())}

    def first(*names: str) -> list[Criterion]:
        return [has[name] for name in names if name in has][:1]

    if prefer == "fidelity":
        rule = "Fidelity: the highest mean PSNR to the truth; what PSNR does not tell apart, SSIM orders."
        chosen = [*first("psnr"), *first("ssim")] if "psnr" in has else []
        return chosen, f"{rule} {TIES}", "it is measured against the true pictures (--truth DIR)"
    if prefer == "perception":
        chosen = first("lpips-alex", "lpips-vgg", "niqe-faces")
        by = chosen[0].card.title if chosen else "NIQE"
        rule = f"Perception: the lowest mean {by} (LPIPS when it was measured, else NIQE)."
        return chosen, f"{rule} {TIES}", "neither LPIPS nor NIQE could be measured"
    if prefer == "identity":
        chosen = first("identity-distance", "identity-to-input")
        to = "input" if chosen and chosen[0].card.name == "identity-to-input" else "truth"
        rule = f"Identity: the lowest mean identity distance to the {to}."
        return chosen, f"{rule} {TIES}", "no identity distance could be measured"
    if "identity-distance" in has:
        gate = "whose identity distance to the truth is not worse than that of the input as it was"
    else:
        gate = f"that leave at least {100 * _SAME_PERSON:.0f} % of the faces likely the same person as in the input"
    return (
        first("seconds"),
        f"Speed: the fewest seconds per face, among the methods {gate}. {TIES}",
        "no face was timed",
    )


_SAME_PERSON = 0.95


def _strangers(
    names: Sequence[str], criteria: Mapping[str, Criterion], same_person: Mapping[str, float]
) -> dict[str, str]:
    """Who is out of the race for speed, and why."""
    if "identity-distance" in criteria and criteria["identity-distance"].values:
        values = criteria["identity-distance"].values
        base = values.get(BASELINE, {})
        return {
            name: "farther from the person than the input as it was"
            for name in names
            if told_apart(values.get(name, {}), base, higher_is_better=False) == "worse"
        }
    return {
        name: f"only {100 * same_person[name]:.0f} % of the faces are likely the same person"
        for name in names
        if same_person.get(name, 1.0) < _SAME_PERSON
    }


def _common(
    names: Sequence[str], chosen: Sequence[Criterion], left_out: dict[str, str]
) -> tuple[list[str], tuple[str, ...]]:
    """Who is ranked, over which pictures; who has less than half of the pictures goes to ``left_out``."""
    counts = {name: len(chosen[0].values[name]) for name in names}
    most = max(counts.values(), default=0)
    for name in names:
        if 2 * counts[name] < most or not counts[name]:
            left_out[name] = f"has values for {counts[name]} of {most} pictures"
    ranked = [name for name in names if name not in left_out]
    sets = [set(c.values.get(name, {})) for name in ranked for c in chosen]
    common = set.intersection(*sets) if sets else set()
    if not common and ranked:
        left_out.update(dict.fromkeys(ranked, "there is no picture that all methods have"))
    return ranked, tuple(sorted(common))


def _only(criterion: Criterion, pictures: Sequence[str]) -> Criterion:
    kept = {n: {p: v[p] for p in pictures if p in v} for n, v in criterion.values.items()}
    return Criterion(criterion.card, {name: values for name, values in kept.items() if values})


def _tied(ahead: str, name: str, criterion: Criterion) -> bool:
    values = criterion.values
    return told_apart(values[ahead], values[name], criterion.card.higher_is_better) == "not told apart"


def _places(found: Sequence[Sequence[str]], criterion: Criterion) -> tuple[Place, ...]:
    places: list[Place] = []
    for group in found:
        place = len(places) + 1
        for name in group:
            values = criterion.values[name]
            base = criterion.values.get(BASELINE)
            against = told_apart(values, base, criterion.card.higher_is_better) if base else None
            shared = tuple(other for other in group if other != name)
            places.append(Place(place, name, bootstrap(np.array(list(values.values()))), shared, against))
    return tuple(places)


def _sentence(prefer: str, places: Sequence[Place], criterion: Criterion, pictures: int) -> str:
    card = criterion.card

    def figure(value: float) -> str:
        return f"{value:.{card.digits}f}{' ' + card.unit if card.unit else ''}"

    def listed(some: Sequence[Place]) -> str:
        return _listed([f"{one.name} ({figure(one.estimate.value)})" for one in some])

    over = f"over {pictures} picture{'s' if pictures > 1 else ''}"
    lead, rest = [one for one in places if one.place == 1], [one for one in places if one.place > 1]
    if len(places) == 1:
        text = f"For {prefer}, only {listed(lead)} is ranked, by {card.title} {over}."
    elif len(lead) == 1:
        text = f"For {prefer}, {listed(lead)} comes first, by {card.title} {over}."
    else:
        text = f"For {prefer}, {listed(lead)} share the first place: their {card.title} is not told apart {over}."
    if rest:
        text += f" Then follow{'s' if len(rest) == 1 else ''} {listed(rest)}."
    base = criterion.values.get(BASELINE)
    if base:
        text += f" The input as it was has {figure(float(np.mean(list(base.values()))))}: {_against(places)}."
    return text


def _listed(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def _against(places: Sequence[Place]) -> str:
    by = {v: [p.name for p in places if p.against_input == v] for v in ("better", "worse", "not told apart")}
    words = {"better": "better than it", "worse": "worse than it", "not told apart": "not told apart from it"}
    parts = [
        f"{_listed(by[verdict])} {'is' if len(by[verdict]) == 1 else 'are'} {words[verdict]}"
        for verdict in ("better", "not told apart", "worse")
        if by[verdict]
    ]
    return ("no method is better; " if not by["better"] else "") + "; ".join(parts)


def _nobody(prefer: str, left_out: Mapping[str, str]) -> str:
    reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
    return f"No ranking for {prefer}: {reasons or 'no method gave a result'}."
