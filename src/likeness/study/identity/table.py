"""From identity vectors to the parts of the study's document: who is compared, the figures, the rows of the tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from likeness.photo import PhotoError
from likeness.study.identity.comparisons import FIGURES, Comparisons, Figures, Judge, against_all
from likeness.study.identity.enrol import Enrolled
from likeness.study.identity.finding import finding
from likeness.study.identity.layouts import Layout
from likeness.study.statistics import Estimate

DIRECT = "direct feed"  # the probes as they are
LEVEL = 0.95


@dataclass
class Entry:
    """A contender on its way: its vectors by probe, or why it has none."""

    name: str
    folder: str | None
    enrolled: Enrolled
    error: str | None = None
    unchanged: int = 0  # probes that it handed back as they were


class Table:
    """The comparisons over the probes that all contenders have, and the document's parts made from them."""

    def __init__(self, layout: Layout, gallery: Enrolled, entries: Sequence[Entry], data: Path) -> None:
        self.layout, self.entries, self.data = layout, entries, data
        self.scored = [entry for entry in entries if entry.error is None]
        common = [i for i in range(len(layout.probes)) if all(i in one.enrolled.vectors for one in self.scored)]
        direct = entries[0].enrolled.vectors
        names = sorted({one.person for one in layout.probes} | {one.person for one in layout.galleries})
        self.persons = {name: number for number, name in enumerate(names)}
        templates, where = _templates(layout, gallery)
        self.template_persons = [name for name, _ in templates]
        self.vectors = np.stack([vector for _, vector in templates])
        if layout.pairs is None:
            known = set(self.template_persons)
            self.unknown = [i for i in direct if layout.probes[i].person not in known]
            self.probes = [i for i in common if layout.probes[i].person in known]
        else:
            self.unknown = []
            kept = {a for a, b in layout.pairs if b in where}
            self.probes = [i for i in common if i in kept]
        if not self.probes:
            raise PhotoError(f"{data}: no probe is left that all contenders have, with a gallery to compare it with")
        self.comparisons = self._comparisons(where)
        same = self.comparisons.same
        if same.all() or not same.any():
            missing = "different people" if same.all() else "one person"
            raise PhotoError(f"{data}: no two pictures of {missing} are left to compare")
        self.group_keys = sorted({layout.probes[i].group for i in self.probes})
        number = {key: k for k, key in enumerate(self.group_keys)}
        self.group_of = np.array([number[layout.probes[i].group] for i in self.probes])
        people = self._number_people()
        self.judge = Judge(self.comparisons, self.group_of[self.comparisons.probe], len(number), people)
        self.scores = {one.name: self._scores(one) for one in self.scored}

    def _comparisons(self, where: dict[int, int]) -> Comparisons:
        who = np.array([self.persons[self.layout.probes[i].person] for i in self.probes])
        templates = np.array([self.persons[name] for name in self.template_persons])
        if self.layout.pairs is None:
            return against_all(who, templates)
        place = {i: n for n, i in enumerate(self.probes)}
        listed = [(place[a], where[b]) for a, b in self.layout.pairs if a in place and b in where]
        a, b = np.array(listed).T
        return Comparisons(a, b, who[a], templates[b], complete=False)

    def _number_people(self) -> int:
        """Number the people who are compared 0, 1, ...: nobody else is drawn. Returns how many they are."""
        one = self.comparisons
        used, compact = np.unique(np.concatenate([one.probe_person, one.template_person]), return_inverse=True)
        first, second = np.split(compact.ravel(), 2)
        self.comparisons = replace(one, probe_person=first, template_person=second)
        return len(used)

    def _scores(self, entry: Entry) -> np.ndarray:
        vectors = np.stack([entry.enrolled.vectors[i] for i in self.probes])
        return self.comparisons.scores(vectors, self.vectors)

    def figures(self, resamples: int, seed: int) -> list[Figures]:
        """Of each scored contender, the direct feed first."""
        return self.judge.figures(list(self.scores.values()), resamples=resamples, seed=seed, level=LEVEL)

    def split(self, entry: Entry) -> tuple[np.ndarray, np.ndarray]:
        """Genuine and impostor scores."""
        same, scores = self.comparisons.same, self.scores[entry.name]
        return scores[same], scores[~same]

    def counts(self) -> dict[str, int]:
        """How many there are of what; what is lost on the way shows here."""
        same = self.comparisons.same
        return {
            "people": self.judge.persons,
            "gallery_pictures": len(self.layout.galleries),
            "probes": len(self.layout.probes),
            "probes_with_a_face": len(self.entries[0].enrolled.vectors),
            "probes_scored": len(self.probes),
            "genuine": int(same.sum()),
            "impostor": int((~same).sum()),
        }

    def findings(self, figures: Sequence[Figures]) -> list[dict[str, str]]:
        """A verdict for each scored contender but the direct feed."""
        percent = round(100 * LEVEL)
        pairs = list(zip(self.scored, figures, strict=True))[1:]
        return [{"contender": entry.name, **finding(entry.name, figures[0], one, percent)} for entry, one in pairs]

    def contenders(self, figures: Sequence[Figures]) -> list[dict[str, Any]]:
        """A row for each, also those that failed."""
        by_name = {entry.name: one for entry, one in zip(self.scored, figures, strict=True)}
        rows = []
        for entry in self.entries:
            row: dict[str, Any] = {"name": entry.name, "folder": entry.folder, "error": entry.error}
            row |= {"probes": len(entry.enrolled.vectors), "unchanged": entry.unchanged}
            row["not_scored"] = len(entry.enrolled.reasons)
            if entry.name in by_name:
                one = by_name[entry.name]
                row["figures"] = {key: one.values[key] for key in FIGURES}
                row["changes"] = one.changes
            rows.append(row)
        return rows

    def groups(self, figures: Sequence[Figures]) -> list[dict[str, Any]]:
        """The paper's table: genuine similarity before and after for each camera and distance, and over all."""
        rows = []
        for k, (camera, distance) in enumerate(self.group_keys):
            for entry, one in list(zip(self.scored, figures, strict=True))[1:]:
                if one.group_changes is None:
                    continue
                row: dict[str, Any] = {"camera": camera or None, "distance_m": distance or None}
                row |= {"probes": int((self.group_of == k).sum()), "contender": entry.name}
                row |= _named("genuine_before", "before", figures[0].groups[k])
                row |= _named("genuine_after", "after", one.groups[k])
                row |= _named("change", "change", one.group_changes[k])
                rows.append(row)
        return rows

    def rows(self) -> list[dict[str, Any]]:
        """Of every probe and contender, scored or not, for pairs.csv."""
        own = {entry.name: self._of_probes(entry) for entry in self.scored}
        before = own[DIRECT]
        rows = []
        for entry in self.entries[1:]:
            for i, probe in enumerate(self.layout.probes):
                row: dict[str, Any] = {"probe": self._shown(probe.path), "person": probe.person}
                row |= {"camera": probe.camera, "distance_m": probe.distance, "infra_red": probe.infra_red}
                row |= {"contender": entry.name, "status": "scored", "reason": None}
                if entry.name in own and i in own[entry.name]:
                    row |= {f"{key}_before": value for key, value in before[i].items()}
                    row |= {f"{key}_after": value for key, value in own[entry.name][i].items()}
                    row["best_impostor_before_person"] = row.pop("best_impostor_person_before")
                    row["best_impostor_after_person"] = row.pop("best_impostor_person_after")
                    row["change"] = row["genuine_after"] - row["genuine_before"]
                else:
                    row |= {"status": "not scored", "reason": self._reason(i, entry)}
                rows.append(row)
        return rows

    def _reason(self, i: int, entry: Entry) -> str:
        reasons = [self.entries[0].enrolled.reasons.get(i), entry.error, entry.enrolled.reasons.get(i)]
        lost = next((one.name for one in self.scored if i in one.enrolled.reasons), None)
        reasons.append(f"{lost} does not have it" if lost else None)
        return next((reason for reason in reasons if reason), "there is no gallery picture to compare it with")

    def _of_probes(self, entry: Entry) -> dict[int, dict[str, Any]]:
        """For each scored probe: its genuine score (of pairs: the mean), the best impostor and who that is."""
        one, scores, same = self.comparisons, self.scores[entry.name], self.comparisons.same
        hits = self.judge.hits(scores)
        order = np.argsort(one.probe, kind="stable")
        parts_ = np.split(order, np.flatnonzero(np.diff(one.probe[order])) + 1)
        result: dict[int, dict[str, Any]] = {}
        for at in parts_:
            genuine, impostors = at[same[at]], at[~same[at]]
            n = int(one.probe[at[0]])
            best = int(impostors[np.argmax(scores[impostors])]) if len(impostors) else None
            result[self.probes[n]] = {
                "genuine": float(scores[genuine].mean()) if len(genuine) else math.nan,
                "best_impostor": None if best is None else float(scores[best]),
                "best_impostor_person": None if best is None else self.template_persons[one.template[best]],
                "rank_one": None if hits is None else bool(hits[n]),
            }
        return result

    def _shown(self, path: Path) -> str:
        root = self.data if self.data.is_dir() else self.data.parent
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _templates(layout: Layout, gallery: Enrolled) -> tuple[list[tuple[str, np.ndarray]], dict[int, int]]:
    """(person, unit vector) of each template, and for pairs which template a gallery picture is."""
    if layout.pairs is not None:
        where = {i: n for n, i in enumerate(gallery.vectors)}
        return [(layout.galleries[i].person, vector) for i, vector in gallery.vectors.items()], where
    sums: dict[str, np.ndarray] = {}
    for i, vector in gallery.vectors.items():
        person = layout.galleries[i].person
        sums[person] = sums.get(person, 0) + vector
    return [(person, total / max(float(np.linalg.norm(total)), 1e-12)) for person, total in sums.items()], {}


def _named(value: str, prefix: str, estimate: Estimate) -> dict[str, float]:
    return {value: estimate.value, f"{prefix}_low": estimate.low, f"{prefix}_high": estimate.high}
