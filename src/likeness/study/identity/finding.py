"""What the study found, in words, from the numbers alone."""

from __future__ import annotations

from likeness.study.identity.comparisons import Figures
from likeness.study.statistics import Estimate

MEASURES = (("tar_at_far_0.01", "TAR at FAR 1 %", 1), ("eer", "equal error rate", -1))  # the first that is known
OTHERS = (("eer", "equal error rate", -1), ("d_prime", "d'", 1), ("rank_one", "rank 1", 1))


def figure(value: float) -> str:
    """A figure as it is shown: three digits, or a dash where there is none."""
    if value != value:
        return "-"
    return f"{value + 0.0:.3f}" if abs(value) >= 0.0005 else "0.000"


def span(estimate: Estimate) -> str:
    """``low to high``; a dash where there is no interval."""
    return f"{figure(estimate.low)} to {figure(estimate.high)}" if estimate.low == estimate.low else "-"


def direction(change: Estimate) -> int:
    """1 risen, -1 fallen, 0 when the interval of the change holds 0 or there is none."""
    return int(change.low > 0) - int(change.high < 0)


def finding(name: str, before: Figures, after: Figures, percent: int = 95) -> dict[str, str]:
    """``verdict`` and ``text`` for the contender ``name`` against the direct feed.

    The verdict is on recognition: helped or hurt when the interval of the change of the TAR at FAR 1 % (with too few
    impostors for that: of the equal error rate) leaves out 0, else not shown. ``text`` also says what became of the
    genuine similarity, which may rise when everybody becomes more alike.
    """
    if after.changes is None:
        raise ValueError("the direct feed has nothing to be compared with")
    old, new, change = before.values["genuine"], after.values["genuine"], after.changes["genuine"]
    moved = direction(change)
    verb = {1: "raised", -1: "lowered", 0: "moved"}[moved]
    text = f"Restoration by {name} {verb} the mean genuine similarity from {figure(old.value)} to {figure(new.value)}"
    text += f" ({percent} % interval of the change {span(change)}"
    text += "): no difference could be shown" if moved == 0 else ")"
    strangers = direction(after.changes["impostor"])
    if strangers:
        how = "more" if strangers > 0 else "less"
        was, now = (figures.values["impostor"].value for figures in (before, after))
        text += f"; different people became {how} alike, {figure(was)} to {figure(now)}"
    key, words, sign = next((m for m in MEASURES if after.changes[m[0]].low == after.changes[m[0]].low), MEASURES[-1])
    was, now = before.values[key].value, after.values[key].value
    shift = after.changes[key]
    text += f"; verification ({words}) {figure(was)} -> {figure(now)} (change {span(shift)}): "
    effect = sign * direction(shift)
    if effect:
        verdict = "helped" if effect > 0 else "hurt"
        return {"verdict": verdict, "text": text + f"it {verdict} recognition." + _beside(before, after, key)}
    text += "it did not help; a difference in" if moved < 0 else "no difference in"
    text += f" {words} {'was not' if moved < 0 else 'could be'} shown."
    return {"verdict": "not shown", "text": text + _beside(before, after, key)}


def _beside(before: Figures, after: Figures, told: str) -> str:
    """The other measures that changed, for better or worse; they do not make the verdict, which is on one measure."""
    changed = []
    for key, words, sign in OTHERS:
        shift = (after.changes or {}).get(key)
        if key != told and shift is not None and direction(shift):
            how = "better" if sign * direction(shift) > 0 else "worse"
            was, now = before.values[key].value, after.values[key].value
            changed.append(f"{words} {figure(was)} -> {figure(now)} ({how}, change {span(shift)})")
    return f" By other measures a change was shown: {'; '.join(changed)}." if changed else ""
