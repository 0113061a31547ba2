"""``likeness study``: real servers and processes on loopback, and the clients that raters and others may have."""

from __future__ import annotations

import http.client
import io
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

import scenes
from likeness.photo import PhotoError
from likeness.study.rating.answers import FILE, Answers
from likeness.study.rating.outcome import summarise
from likeness.study.rating.pictures import LARGEST, as_png, find_material
from likeness.study.rating.schedule import IDENTITY, QUESTION, items, next_pair
from likeness.study.rating.server import MAX_BODY, RatingServer, prepare

METHODS = {"likeness": 200, "gfpgan_1.4": 120, "vqfr": 40}  # the red that each paints, by which its pictures are known
COMMAND = [sys.executable, "-c", "from likeness.cli.study import app; app()"]


def paint(path: Path, red: int) -> None:
    """A small picture, with a note in the file that says where it is from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((20, 24, 3), (red, 90, 60), np.uint8)
    if path.suffix == ".png":
        note = PngImagePlugin.PngInfo()
        note.add_text("Software", path.parent.name)
        Image.fromarray(pixels).save(path, pnginfo=note)
    else:
        Image.fromarray(pixels).save(path, comment=path.parent.name.encode(), quality=95)


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    """What ``likeness compare`` writes, for four photos by three methods, one of which writes JPEG."""
    folder = tmp_path / "compared"
    for i in range(4):
        for method, red in METHODS.items():
            paint(folder / method / f"face-{i}{'.jpg' if method == 'vqfr' else '.png'}", red)
        paint(folder / "inputs" / f"face-{i}.png", 10)
        paint(folder / "truth" / f"face-{i}.png", 250)
    (folder / "likeness" / "report.json").write_text("{}", encoding="utf-8")
    return folder


class Answer:
    """What came back: everything a client can see."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def everything(self) -> bytes:
        return str(self.headers).encode() + self.body

    def field(self, name: str) -> str:
        return re.findall(f'name="{name}" value="([^"]*)"', self.text)[0]

    @property
    def pictures(self) -> dict[str, str]:
        """Side -> address."""
        return {found.rpartition("/")[2]: found for found in re.findall('<img src="([^"]*)"', self.text)}


class Client:
    """A browser without JavaScript; it keeps every answer in ``seen``."""

    def __init__(self, url: str) -> None:
        self.address, self.cookie, self.seen = urlsplit(url), "", list[Answer]()

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(str(self.address.hostname), self.address.port, timeout=30)
        with closing(connection):
            own = {"Cookie": self.cookie} if self.cookie else {}
            if method == "POST":
                own["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, path, body, {**own, **{k.replace("_", "-"): v for k, v in headers.items()}})
            answer = Answer(connection.getresponse())
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            self.cookie = cookie.partition(";")[0]
        self.seen.append(answer)
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        return self.ask("POST", path, urlencode(fields).encode(), **headers)

    def consent(self) -> None:
        answer = self.post("/consent", {"csrf": self.get("/").field("csrf")})
        assert (answer.status, answer.headers["Location"]) == (303, "/pair")

    def choose(self, choice: str) -> Answer:
        """Answer the pair that is shown."""
        page = self.get("/pair")
        fields = {"csrf": page.field("csrf"), "pair": page.field("pair"), "choice": choice}
        return self.post("/answer", fields)


def red(data: bytes) -> int:
    return int(np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[0, 0, 0])


@contextmanager
def serving(folder: Path, question: str = QUESTION, pairs: int = 40, seed: int = 0) -> Iterator[str]:
    """The address of a server in a thread."""
    server = RatingServer(prepare(folder, question=question, pairs=pairs, seed=seed))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def process(folder: Path, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``likeness study rate`` as a process, and its address."""
    command = [*COMMAND, "rate", str(folder), "--port", "0", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8", env=scenes.environment()) as running:
        try:
            for line in running.stderr or ():
                if found := re.search(r"asking at (http://\S+)", line):
                    yield running, found[1]
                    return
            raise AssertionError("it ended before it said where it is")
        finally:
            running.kill()


def votes_in(folder: Path) -> int:
    return len(Answers(folder / FILE, create=False).votes())


def test_a_rater_consents_answers_and_is_thanked(compared: Path) -> None:
    with process(compared, "--pairs", 3) as (running, url):
        rater = Client(url)
        assert rater.get("/pair").headers["Location"] == "/"  # nothing without consent
        assert not rater.cookie
        welcome = rater.get("/")
        assert QUESTION in welcome.text
        assert "3 pairs" in welcome.text
        rater.consent()
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(rater.seen[-1].headers["Set-Cookie"].split("; "))
        for number, choice in enumerate(["left", "same", "right"]):
            page = rater.get("/pair")
            assert f"{number} of 3 answered" in page.text
            assert page.pictures.keys() == {"left", "given", "right"}
            assert rater.get("/pair").body == page.body  # a reload shows the same, on the same sides
            assert red(rater.get(page.pictures["given"]).body) == 10
            assert rater.choose(choice).headers["Location"] == "/pair"
        assert "Thank you" in rater.get("/pair").text
        assert "3 of 3" in rater.get("/").text
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
    votes = Answers(compared / FILE).votes()
    assert [vote.choice for vote in votes] == ["left", "same", "right"]
    assert len({(vote.picture, *sorted((vote.left, vote.right))) for vote in votes}) == 3
    assert all(0 <= vote.milliseconds < 60_000 and vote.question == QUESTION for vote in votes)


def test_the_answer_is_kept_for_the_method_whose_picture_was_shown(compared: Path) -> None:
    shown = []
    with serving(compared) as url:
        rater = Client(url)
        rater.consent()
        for _ in range(6):
            pictures = rater.get("/pair").pictures
            shown.append(tuple(red(rater.get(pictures[side]).body) for side in ("left", "right")))
            rater.choose("left")
    kept = [(METHODS[vote.left], METHODS[vote.right]) for vote in Answers(compared / FILE).votes()]
    assert np.abs(np.array(kept) - np.array(shown)).max() <= 3  # one method writes JPEG
    assert len(kept) == 6


def test_nothing_that_is_sent_names_a_method(compared: Path) -> None:
    """Nor a picture, or a folder: pages, pictures, headers, refusals; the files say it, but what is sent does not."""
    assert b"gfpgan_1.4" in (compared / "gfpgan_1.4" / "face-0.png").read_bytes()
    with serving(compared, "identity") as url:
        rater = Client(url)
        rater.consent()
        while "Thank you" not in (page := rater.get("/pair")).text:
            kinds = set()
            for address in page.pictures.values():
                picture = rater.get(address)
                kinds.add((picture.status, picture.headers["Content-Type"]))
            assert kinds == {(200, "image/png")}
            rater.choose("same")
        for path in ("/", "/style.css", "/keys.js", "/nothing", "/picture/a/left", "/vqfr/face-0.jpg"):
            rater.get(path)
        rater.post("/answer", {})
        assert len(rater.seen) > 12 * 5
        for answer in rater.seen:
            for secret in (*METHODS, "face-", str(compared), "compared"):
                assert secret.encode() not in answer.everything.lower(), (secret, answer.everything[:300])


def test_the_identity_question_shows_the_truth_and_the_other_does_not(compared: Path) -> None:
    with serving(compared, "identity") as url:
        rater = Client(url)
        rater.consent()
        page = rater.get("/pair")
        assert IDENTITY in page.text
        assert page.pictures.keys() == {"left", "reference", "right"}
        assert red(rater.get(page.pictures["reference"]).body) == 250
    with serving(compared, "Which is <i>sharper</i>?") as url:
        rater = Client(url)
        rater.consent()
        page = rater.get("/pair")
        assert "Which is &lt;i&gt;sharper&lt;/i&gt;?" in page.text
        assert rater.get(page.pictures["given"].replace("given", "reference")).status == 404


def test_guessed_addresses_and_ways_out_of_the_folder_are_nothing(compared: Path) -> None:
    (compared.parent / "secret.png").write_bytes((compared / "inputs" / "face-0.png").read_bytes())
    with serving(compared) as url:
        rater, other = Client(url), Client(url)
        rater.consent()
        other.consent()
        left = rater.get("/pair").pictures["left"]
        token = left.split("/")[2]
        for path in (
            "/picture/", "/picture", f"/picture/{token}", f"/picture/{token}/", f"/picture/{token}/inputs",
            f"/picture/{token}/left/..", f"/picture/{token}/../../secret.png", "/picture/../../secret.png/left",
            "/picture/%2e%2e%2f%2e%2e%2fsecret.png/left", "/../secret.png", "//secret.png", "/inputs/face-0.png",
            "/ratings.sqlite", f"/picture/{'A' * 22}/left", f"/picture/{token[:-1]}/left", f"/picture/{token}A/left",
            "/picture/' OR 1=1 --aaaaaaaaa/left".replace(" ", "%20"), "/picture/%00/left",
        ):  # fmt: skip
            assert rater.get(path).status == 404, path
        assert rater.get(left).status == 200
        assert other.get(left).status == 404  # of another rater
        assert Client(url).get(left).status == 404


def test_answers_need_the_token_of_the_visit(compared: Path) -> None:
    with serving(compared) as url:
        rater, other = Client(url), Client(url)
        rater.consent()
        other.consent()
        page, theirs = rater.get("/pair"), other.get("/pair")
        good = {"csrf": page.field("csrf"), "pair": page.field("pair"), "choice": "left"}
        bad = [{k: v for k, v in good.items() if k != "csrf"}, {**good, "csrf": theirs.field("csrf")}]
        for fields in (*bad, {**good, "csrf": "\xe9"}, {**good, "csrf": ""}):
            assert rater.post("/answer", fields).status == 403
        assert Client(url).post("/answer", good).status == 403
        assert Client(url).post("/consent", {"csrf": good["csrf"]}).status == 403
        assert rater.post("/answer", good, Origin="http://elsewhere.example").status == 403
        assert rater.post("/answer", good, Origin="null").status == 403
        assert rater.post("/answer", {**good, "pair": theirs.field("pair")}).status == 404
        assert rater.post("/answer", {**good, "choice": "likeness"}).status == 400
        assert votes_in(compared) == 0
        assert rater.post("/answer", good, Origin=url.rstrip("/")).status == 303
        assert rater.post("/answer", {**good, "choice": "right"}).status == 303  # sent twice: the first stands
    assert [vote.choice for vote in Answers(compared / FILE).votes()] == ["left"]


@pytest.mark.parametrize(
    "host", ["elsewhere.example", "127.0.0.1.elsewhere.example:80", "", "localhost.", "a@localhost"]
)
def test_a_foreign_host_is_refused(compared: Path, host: str) -> None:
    with serving(compared) as url:
        assert Client(url).get("/", Host=host).status == 403
        assert Client(url).post("/consent", {}, Host=host).status == 403
        assert Client(url).get("/", Host="localhost:9000").status == 200  # through a tunnel


def test_what_is_too_long_or_no_form_is_refused(compared: Path) -> None:
    with serving(compared) as url:
        rater = Client(url)
        rater.consent()
        fields = {"csrf": rater.get("/pair").field("csrf"), "choice": "left"}
        assert rater.post("/answer", {**fields, "pair": "x" * MAX_BODY}).status == 413
        assert rater.ask("POST", "/answer", b"x" * 600_000).status == 413
        assert rater.ask("POST", "/answer", b"x=1", Content_Type="application/json").status == 415
        assert rater.ask("POST", "/answer", b"\xff\xfe").status == 400
        assert rater.ask("POST", "/answer", b"&".join(b"a=1" for _ in range(50))).status == 400
        assert rater.ask("POST", "/answer", b"", Content_Length="many").status == 400
        assert rater.ask("POST", "/answer", b"0\r\n\r\n", Transfer_Encoding="chunked").status == 411
        assert rater.ask("PUT", "/answer", b"").status == 501
        assert rater.get("/").status == 200


def test_every_answer_has_the_headers_of_a_careful_server(compared: Path) -> None:
    with serving(compared) as url:
        rater = Client(url)
        rater.consent()
        rater.get(rater.get("/pair").pictures["left"])
        for path in ("/", "/style.css", "/keys.js", "/nothing"):
            rater.get(path)
        rater.ask("DELETE", "/")
        for answer in rater.seen:
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Server"] == "study"
            assert "style=" not in answer.text if answer.headers["Content-Type"].startswith("text/html") else True
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as raw:
            raw.sendall(b"nonsense\r\n\r\n")
            assert b"Bad Request" in raw.recv(1000)
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as raw:
            raw.sendall(b"GET /picture/\xe9\xff/left HTTP/1.1\r\nHost: localhost\r\nCookie: \xe9\r\n\r\n")
            assert b"404" in raw.recv(1000)


def test_raters_at_the_same_time_share_the_work(compared: Path) -> None:
    """Four at once, each six of twelve pairs: every pair is answered, and nobody sees one twice."""

    def visit(url: str) -> None:
        rater = Client(url)
        rater.consent()
        for _ in range(6):
            assert rater.choose("left").status == 303
        assert "Thank you" in rater.get("/pair").text

    with serving(compared, pairs=6) as url, ThreadPoolExecutor(4) as pool:
        list(pool.map(visit, [url] * 4))
    votes = Answers(compared / FILE).votes()
    assert len(votes) == 24
    assert len({vote.rater for vote in votes}) == 4
    pairs = [(vote.picture, *sorted((vote.left, vote.right))) for vote in votes]
    assert len(set(pairs)) == 12
    assert len({(vote.rater, *pair) for vote, pair in zip(votes, pairs, strict=True)}) == 24


def test_two_processes_write_one_file_and_a_kill_loses_nothing_that_was_confirmed(compared: Path) -> None:
    with process(compared) as (first, one), process(compared) as (_, two):
        rater, other = Client(one), Client(two)
        rater.consent()
        other.consent()
        for _ in range(3):
            assert rater.choose("left").status == other.choose("right").status == 303
        page = rater.get("/pair")
        first.kill()
        first.wait(20)
        assert votes_in(compared) == 6
        assert other.choose("same").status == 303
    with process(compared) as (_, url):  # the same rater goes on, with the page that was open
        again = Client(url)
        again.cookie = rater.cookie
        assert "3 of 12" in again.get("/").text
        fields = {"csrf": page.field("csrf"), "pair": page.field("pair"), "choice": "left"}
        assert again.get(page.pictures["left"]).status == 200
        assert again.post("/answer", fields).status == 303
        assert again.choose("same").status == 303
    votes = Answers(compared / FILE).votes()
    assert len(votes) == 9
    assert len({(vote.rater, vote.picture, *sorted((vote.left, vote.right))) for vote in votes}) == 9


def test_the_next_pair_is_one_with_the_fewest_answers(compared: Path) -> None:
    material, answers = find_material(compared), Answers(compared / FILE)
    assert len(items(material)) == 12
    for count in (1, 2):
        for _ in range(2):
            rater = answers.add_rater()
            for _ in range(6):
                shown = next_pair(material, answers, rater, QUESTION, 6, seed=0)
                assert shown is not None
                answers.answer(shown.token, "left")
            assert next_pair(material, answers, rater, QUESTION, 6, seed=0) is None
        pairs = [(vote.picture, *sorted((vote.left, vote.right))) for vote in answers.votes()]
        assert {pairs.count(item) for item in items(material)} == {count}
    sides = [vote.left < vote.right for vote in answers.votes()]
    assert 4 <= sum(sides) <= 20  # of 24, by lot


def test_what_cannot_be_rated_is_left_out_and_said(compared: Path) -> None:
    (compared / "vqfr" / "face-1.jpg").unlink()
    (compared / "likeness" / "face-2.png").write_bytes(b"no picture")
    paint(compared / "likeness" / "face-3.samples" / "face-1-sample-1.png", 1)
    paint(compared / "likeness" / ".likeness" / "face-9.png", 1)
    paint(compared / ".hidden" / "face-0.png", 1)
    (compared / "plots").mkdir()
    paint(compared / "vqfr" / "face-0.webp", 1)
    material = find_material(compared)
    assert material.methods == ("gfpgan_1.4", "likeness", "vqfr")
    assert material.pictures == ("face-3",)
    assert material.left_out == (
        "face-0: vqfr has two of this name",
        "face-1: not in vqfr",
        "face-2: cannot be read in likeness",
    )
    (compared / "truth" / "face-3.png").unlink()
    with pytest.raises(PhotoError, match=r"no picture can be rated: face-0: vqfr has two of this name; .*not in truth"):
        find_material(compared, with_truth=True)


def test_large_pictures_are_sent_smaller(compared: Path) -> None:
    for method in METHODS:
        for path in (compared / method).glob("face-*"):
            path.unlink()
        Image.new("RGB", (3000, 1500), (METHODS[method], 0, 0)).save(compared / method / "large.png")
    with serving(compared) as url:
        rater = Client(url)
        rater.consent()
        data = rater.get(rater.get("/pair").pictures["left"]).body
    assert Image.open(io.BytesIO(data)).size == (LARGEST, LARGEST // 2)


def test_any_format_is_sent_as_plain_8_bit_png(tmp_path: Path) -> None:
    deep = np.full((8, 9, 3), (51400, 25700, 257), np.uint16)
    scenes.save_deep(tmp_path / "deep.png", deep)
    (tmp_path / "turned.jpg").write_bytes(scenes.encoded(np.zeros((8, 9, 3), np.uint8), exif=scenes.exif(6)))
    for name, size, colour in (("deep.png", (9, 8), (200, 100, 1)), ("turned.jpg", (8, 9), (0, 0, 0))):
        sent = Image.open(io.BytesIO(as_png(tmp_path / name)))
        assert (sent.format, sent.mode, sent.size, sent.getpixel((0, 0))) == ("PNG", "RGB", size, colour)
        assert not sent.getexif()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no such folder"),
        (["compared/vqfr"], "two or more methods"),
        (["compared", "--question", ""], "--question"),
        (["compared", "--question", "a\nb"], "--question"),
        (["compared", "--host", "203.0.113.9"], "cannot serve at 203.0.113.9"),
    ],
)
def test_wrong_use_of_rate_is_one_line(compared: Path, arguments: list[str], said: str) -> None:
    done = run("rate", *arguments, "--port", "0", cwd=compared.parent)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_identity_question_needs_the_truth(compared: Path) -> None:
    for path in (compared / "truth").iterdir():
        path.unlink()
    with pytest.raises(PhotoError, match="--truth"):
        prepare(compared, question="identity")


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, cwd=cwd, env=scenes.environment(), encoding="utf-8",
        timeout=120, check=False,
    )  # fmt: skip


def vote_all(folder: Path, question: str = QUESTION) -> None:
    """Three raters answer all: the redder is preferred, but for one rater who sees no difference once."""
    material, answers = find_material(folder), Answers(folder / FILE)
    for number in range(3):
        rater = answers.add_rater()
        for k in range(12):
            shown = next_pair(material, answers, rater, question, 12, seed=0)
            assert shown is not None
            left_wins = METHODS[shown.left] > METHODS[shown.right]
            answers.answer(shown.token, "same" if number == k == 0 else "left" if left_wins else "right")


def test_result_says_preferences_and_how_metrics_agree(compared: Path) -> None:
    vote_all(compared)
    (compared / "measure.json").write_text(
        json.dumps(
            {
                "metrics": {
                    "psnr": {"higher_is_better": True},
                    "lpips": {"higher_is_better": False},
                    "niqe": {"higher_is_better": False},
                },
                "methods": {
                    "likeness": {"psnr": 21.0, "lpips": 0.1, "niqe": None},
                    "gfpgan_1.4": {"psnr": 24.0, "lpips": 0.2, "niqe": 4.0},
                    "vqfr": {"psnr": 23.0, "lpips": 0.3},
                    "other": {"psnr": 1.0, "lpips": 1.0, "niqe": 9.0},
                },
            }
        ),
        encoding="utf-8",
    )
    done = run("result", compared, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (found,) = json.loads(done.stdout)["questions"]
    assert (found["votes"], found["raters"], found["pictures"], found["no_difference"]) == (36, 3, 4, 1)
    assert [row["method"] for row in found["methods"]] == ["likeness", "gfpgan_1.4", "vqfr"]
    best, middle, worst = found["methods"]
    assert best["share"]["value"] > 0.95
    assert middle["share"]["value"] == pytest.approx(0.5, abs=0.05)
    assert worst["share"]["value"] < 0.05
    for row in found["methods"]:
        assert row["votes"] == 24
        for what in ("share", "strength", "first_choice"):
            assert row[what]["low"] <= row[what]["value"] <= row[what]["high"]
    metrics = {row["metric"]: row for row in found["metrics"]}
    assert (metrics["lpips"]["spearman"], metrics["lpips"]["kendall"], metrics["lpips"]["n"]) == (1, 1, 3)
    assert metrics["psnr"]["spearman"] == -0.5
    assert (metrics["niqe"]["spearman"], metrics["niqe"]["n"]) == (None, 1)
    table = run("result", compared)
    assert table.returncode == 0
    for shown in ("likeness", "36 votes, 3 raters, 4 pictures", "lpips", "+1.00", "-0.50"):
        assert shown in table.stdout


def test_two_questions_are_kept_apart_and_absent_metrics_are_said(compared: Path) -> None:
    vote_all(compared)
    vote_all(compared, IDENTITY)
    found = summarise(compared, resamples=20)
    assert [(one["question"], one["votes"]) for one in found["questions"]] == [(QUESTION, 36), (IDENTITY, 36)]
    assert "likeness compare" in found["notes"][0]
    assert found["questions"][0]["metrics"] == []


def test_wrong_use_of_result_is_one_line(compared: Path) -> None:
    def refused(said: str) -> None:
        with pytest.raises(ValueError, match=said) as caught:
            summarise(compared)
        assert "\n" not in str(caught.value)

    done = run("result", compared)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    refused("likeness study rate")
    assert not (compared / FILE).exists()
    (compared / FILE).write_bytes(b"not a database, but long enough to be taken for one" * 40)
    refused("ratings.sqlite")
    (compared / FILE).unlink()
    with closing(sqlite3.connect(compared / FILE)) as db:
        db.execute("CREATE TABLE other (a)")
    refused("move the file away")
    (compared / FILE).unlink()
    Answers(compared / FILE)
    refused("nobody has answered")
    vote_all(compared)
    (compared / "measure.json").write_text('{"metrics": []}', encoding="utf-8")
    refused("measure.json")
