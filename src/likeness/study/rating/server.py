"""The study as a web server on loopback: pages, pictures and answers; it trusts nothing that a client sends."""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
import sys
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from likeness.photo import PhotoError
from likeness.study.rating import page
from likeness.study.rating.answers import FILE, Answers, Choice, Shown
from likeness.study.rating.pictures import INPUTS, TRUTH, Material, as_png, find_material
from likeness.study.rating.schedule import IDENTITY, answered_by, items, next_pair

MAX_BODY = 4096  # bytes; an answer has about 100
_DRAIN = 1 << 20
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")
_CHOICES: dict[str, Choice] = {"left": "left", "right": "right", "same": "same"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Study:
    """What is asked of whom: ``question`` is text; ``pairs`` is for each rater. ``reference``: the truth is shown."""

    material: Material
    answers: Answers
    question: str
    pairs: int
    seed: int
    reference: bool

    @property
    def total(self) -> int:
        """How many pairs a rater is asked."""
        return min(self.pairs, len(items(self.material)))


def prepare(folder: Path, *, question: str, pairs: int = 40, seed: int = 0) -> Study:
    """The study of what ``likeness compare`` wrote into ``folder``; answers are kept in ``folder/ratings.sqlite``.

    ``question``: text, or "identity" for the second of our questions, which shows ``truth/`` beside the results. Raises
    ValueError (PhotoError): one line.
    """
    if not 0 < len(question.strip()) <= 200 or not question.isprintable():
        raise ValueError("--question must be one line of 1 to 200 characters, or identity")
    if pairs < 1:
        raise ValueError(f"--pairs must be 1 or more, got {pairs}")
    reference = question == "identity"
    material = find_material(folder, with_truth=reference)
    text = IDENTITY if reference else question.strip()
    return Study(material, Answers(folder / FILE), text, pairs, seed, reference)


class RatingServer(ThreadingHTTPServer):
    """Serves a ``Study`` at ``host:port`` (port 0: any free one); ``url`` says where. Raises OSError."""

    daemon_threads = True

    def __init__(self, study: Study, host: str = "127.0.0.1", port: int = 0) -> None:
        self.study, self.host = study, host
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.cookie = "rater-" + self.sign("cookie")[:8]  # browsers do not tell one port of a host from another
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Without asking a name server for the host's full name, as the base class does."""
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, int(self.allow_reuse_address))
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.host, self.server_address[1]

    @property
    def url(self) -> str:
        """The address for a browser."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.server_port}/"

    def sign(self, text: str) -> str:
        """A keyed hash of text: 64 hexadecimal digits that nobody else can make."""
        return hmac.new(self.study.answers.secret, text.encode(), hashlib.sha256).hexdigest()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no matter; anything else is a mistake of ours and shows itself."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class _Handler(BaseHTTPRequestHandler):
    server: RatingServer
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds without a byte

    def version_string(self) -> str:
        return "study"

    def log_message(self, *_: Any) -> None:
        """Nothing about raters is written down but their answers."""

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, what: Any) -> None:
        try:
            self._check_host()
            what(self.path.partition("?")[0])
        except _Refused as refused:
            self._refuse(refused.status, refused.text)
        except ValueError as error:  # the file of answers, or a picture
            print(f"likeness: {error}", file=sys.stderr, flush=True)
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "This could not be done. Please tell who runs the study.")

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self.close_connection = True  # there may be a body that nobody read
        self._send(page.refusal(status.phrase, text), status=status)
        length = self.headers.get("Content-Length", "0")
        left = min(int(length), _DRAIN) if re.fullmatch(r"[0-9]{1,15}", length) else 0
        while left > 0 and (got := self.rfile.read1(min(left, 65536))):  # else the client may miss why
            left -= len(got)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses: requests that are not HTTP, other methods than GET and POST."""
        self.close_connection = True
        self._send(page.refusal(HTTPStatus(code).phrase, "This is not answered here."), status=HTTPStatus(code))

    # Who asks

    def _check_host(self) -> None:
        """A page elsewhere whose name is made to point here (DNS rebinding) sends its own name."""
        names = {"127.0.0.1", "localhost", "[::1]", self.server.host, f"[{self.server.host}]"}
        reached = self.connection.getsockname()[0]
        names |= {reached, f"[{reached}]"}
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or re.sub(r":[0-9]*$", "", hosts[0]).lower() not in names:
            raise _Refused(HTTPStatus.FORBIDDEN, "This name does not belong to the study.")

    def _rater(self) -> str | None:
        for cookie in ";".join(self.headers.get_all("Cookie") or []).split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == self.server.cookie and re.fullmatch("[0-9a-f]{32}", value):
                return value if self.server.study.answers.knows(value) else None
        return None

    def _form(self) -> dict[str, str]:
        """The fields of a POST, once its origin, size and type are seen to be right."""
        origin = self.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != self.headers["Host"]:
            raise _Refused(HTTPStatus.FORBIDDEN, "This was sent from another site.")
        lengths = self.headers.get_all("Content-Length") or []
        if "Transfer-Encoding" in self.headers or not lengths:
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "The length of an answer must be given.")
        if len(lengths) > 1 or not re.fullmatch("[0-9]{1,15}", lengths[0]):
            raise _Refused(HTTPStatus.BAD_REQUEST, "The length of this answer is not a number.")
        if int(lengths[0]) > MAX_BODY:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This is too long for an answer.")
        if self.headers.get_content_type() != "application/x-www-form-urlencoded":
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "An answer is sent as a form.")
        body = self.rfile.read(int(lengths[0]))
        del self.headers["Content-Length"]  # read, hence nothing to drain
        try:
            fields = parse_qs(body.decode("ascii"), max_num_fields=10)
        except ValueError:
            raise _Refused(HTTPStatus.BAD_REQUEST, "This is not a form.") from None
        return {name: values[0] for name, values in fields.items()}

    def _check_csrf(self, form: dict[str, str], want: str) -> None:
        if not hmac.compare_digest(form.get("csrf", "").encode(), want.encode()):
            raise _Refused(HTTPStatus.FORBIDDEN, "This form is not of your visit; open the page again.")

    # What is asked for

    def _get(self, path: str) -> None:
        study, rater = self.server.study, self._rater()
        if path == "/":
            if rater is None:
                csrf = self.server.sign("consent")
                self._send(page.welcome(study.question, study.total, csrf, reference=study.reference))
            else:
                shown = study.answers.all_shown(study.question)
                self._send(page.welcome_back(answered_by(study.material, shown, rater), study.total))
        elif path == "/pair":
            self._pair(rater)
        elif path.startswith("/picture/"):
            self._picture(path, rater)
        elif path == "/style.css":
            self._send(page.STYLE.read_bytes(), "text/css; charset=utf-8")
        elif path == "/keys.js":
            self._send(page.KEYS.read_bytes(), "text/javascript; charset=utf-8")
        else:
            raise _nothing()

    def _pair(self, rater: str | None) -> None:
        study = self.server.study
        if rater is None:
            self._redirect("/")
            return
        shown = next_pair(study.material, study.answers, rater, study.question, study.pairs, study.seed)
        done = answered_by(study.material, study.answers.all_shown(study.question), rater)
        if shown is None:
            self._send(page.thanks(done))
            return
        middle = "reference" if study.reference else "given"
        there = self._file(shown, middle) is not None
        csrf = self.server.sign(f"answer/{rater}")
        self._send(page.pair(shown, study.question, done, study.total, csrf, middle if there else None))

    def _picture(self, path: str, rater: str | None) -> None:
        """A picture of a pair that was shown to this very rater; the way to the file is found here, not in ``path``."""
        token, _, side = path.removeprefix("/picture/").partition("/")
        shown = self.server.study.answers.find(token) if rater and _TOKEN.fullmatch(token) else None
        file = self._file(shown, side) if shown is not None and shown.rater == rater else None
        if file is None:
            raise _nothing()
        try:
            data = as_png(file)
        except PhotoError as error:
            print(f"likeness: {error}", file=sys.stderr, flush=True)
            raise _nothing() from None
        self._send(data, "image/png", cache="private, max-age=600")

    def _file(self, shown: Shown, side: str) -> Path | None:
        folders = {"left": shown.left, "right": shown.right, "given": INPUTS}
        if self.server.study.reference:
            folders["reference"] = TRUTH
        return self.server.study.material.files.get((folders.get(side, ""), shown.picture))

    def _post(self, path: str) -> None:
        study, form = self.server.study, self._form()
        if path == "/consent":
            self._check_csrf(form, self.server.sign("consent"))
            rater = self._rater() or study.answers.add_rater()
            cookie = f"{self.server.cookie}={rater}; Path=/; Max-Age=7776000; HttpOnly; SameSite=Strict"
            self._redirect("/pair", {"Set-Cookie": cookie})
        elif path == "/answer":
            rater = self._rater() or ""
            self._check_csrf(form, self.server.sign(f"answer/{rater}") if rater else "nobody's")
            token, choice = form.get("pair", ""), _CHOICES.get(form.get("choice", ""))
            shown = study.answers.find(token) if _TOKEN.fullmatch(token) else None
            if shown is None or shown.rater != rater:
                raise _nothing()
            if choice is None:
                raise _Refused(HTTPStatus.BAD_REQUEST, "An answer is left, right or no difference.")
            study.answers.answer(token, choice)  # the first answer stands: a form can be sent twice
            self._redirect("/pair")
        else:
            raise _nothing()

    # Answers

    def _redirect(self, where: str, headers: dict[str, str] | None = None) -> None:
        self._send(b"", status=HTTPStatus.SEE_OTHER, headers={"Location": where, **(headers or {})})

    def _send(
        self,
        body: str | bytes,
        kind: str = "text/html; charset=utf-8",
        *,
        status: HTTPStatus = HTTPStatus.OK,
        cache: str = "no-store",
        headers: dict[str, str] | None = None,
    ) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        own = {"Content-Type": kind, "Content-Length": str(len(data)), "Cache-Control": cache}
        for name, value in {**_HEADERS, **own, **(headers or {})}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _nothing() -> _Refused:
    return _Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
