"""The pages that raters see. No method is named in them, nor this program, whose built-in method has its name."""

from __future__ import annotations

from html import escape
from pathlib import Path

from likeness.study.rating.answers import Shown

STYLE = Path(__file__).with_name("style.css")
KEYS = Path(__file__).with_name("keys.js")


def document(title: str, body: str, *, script: bool = False) -> str:
    """A whole page; ``title`` is text, ``body`` is HTML."""
    keys = '<script src="/keys.js" defer></script>\n' if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="stylesheet" href="/style.css">\n'
        f'<link rel="icon" href="data:,">\n{keys}</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n'
    )


def welcome(question: str, total: int, csrf: str, *, reference: bool) -> str:
    """What is asked, what is kept, and the button that consents to it."""
    between = " A true photo of the person is shown between them." if reference else ""
    return document(
        "A study of restored faces",
        f"""<h1>A study of restored faces</h1>
<p>You will see {_many(total, "pair")} of pictures. Both of a pair were made from the same damaged photo, in different
ways.{between} For each pair you are asked:</p>
<p class="asked">{escape(question)}</p>
<p>Go by what you see; there is no right answer, and no hurry. Where you see no difference, say so.</p>
<h2>What is kept</h2>
<p>Your answers, how long each took, and a random number in a cookie, so that you can stop and go on later.
No name, no address, nothing else about you. You may stop at any time.</p>
<form method="post" action="/consent">
<input type="hidden" name="csrf" value="{escape(csrf)}">
<button class="main">I agree: begin</button>
</form>""",
    )


def welcome_back(done: int, total: int) -> str:
    """For a rater who is known."""
    return document(
        "A study of restored faces",
        f"""<h1>Welcome back</h1>
<p>You have answered {done} of {_many(total, "pair")}.</p>
{_progress(done, total)}
<p><a class="button main" href="/pair">Go on</a></p>""",
    )


def thanks(done: int) -> str:
    """The last page."""
    return document(
        "Thank you",
        f"""<h1>Thank you</h1>
<p>You have answered {_many(done, "pair")}, and that is all. Your answers are kept; you can close this page.</p>""",
    )


def refusal(title: str, text: str) -> str:
    """Why a request was not answered."""
    return document(title, f'<h1>{escape(title)}</h1>\n<p>{escape(text)}</p>\n<p><a href="/">To the start</a></p>')


def pair(shown: Shown, question: str, done: int, total: int, csrf: str, middle: str | None) -> str:
    """Two pictures, what is in the ``middle`` ("given", "reference" or nothing), and three buttons."""
    captions = {"given": "Damaged photo", "reference": "Reference"}
    between = "" if middle is None else _figure(shown.token, middle, captions[middle], captions[middle])
    return document(
        f"{question} ({done + 1} of {total})",
        f"""<h1>{escape(question)}</h1>
<form class="pair {middle or "alone"}" method="post" action="/answer" autocomplete="off">
<input type="hidden" name="csrf" value="{escape(csrf)}">
<input type="hidden" name="pair" value="{escape(shown.token)}">
{_figure(shown.token, "left", "The left picture")}
{between}
{_figure(shown.token, "right", "The right picture")}
<button class="left" name="choice" value="left"><span aria-hidden="true">&larr; </span>Left
<span class="spoken">is my answer</span></button>
<button class="same" name="choice" value="same">No difference</button>
<button class="right" name="choice" value="right">Right
<span class="spoken">is my answer</span><span aria-hidden="true"> &rarr;</span></button>
</form>
{_progress(done, total)}
<p class="hint keys">Keys: <kbd>&larr;</kbd> left, <kbd>&rarr;</kbd> right, <kbd>space</kbd> no difference.
Click a picture to see it at full size.</p>""",
        script=True,
    )


def _figure(token: str, side: str, alternative: str, caption: str = "") -> str:
    where = f"/picture/{escape(token)}/{side}"
    return (
        f'<figure class="{side if side in ("left", "right") else "middle"}">'
        f'<a href="{where}" target="_blank" rel="noopener" tabindex="-1"><img src="{where}" alt="{alternative}"></a>'
        + (f"<figcaption>{caption}</figcaption></figure>" if caption else "</figure>")
    )


def _progress(done: int, total: int) -> str:
    return (
        f'<p class="progress"><progress id="done" value="{done}" max="{max(1, total)}"></progress>'
        f'<label for="done">{done} of {total} answered</label></p>'
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
