"""The code of the notebooks' cells. All notebooks share it; ``build.py`` puts it together.

The cells are plain Python without magics, so that they can be read, linted and run anywhere.
"""

from __future__ import annotations

SETUP = '''\
# Setup: installs Likeness where it is missing, from a checkout when the notebook lies in one.
import importlib
import importlib.util
import json
import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path


class Stop(Exception):
    """Ends the notebook with one line instead of a traceback."""

    def _render_traceback_(self):
        return [f"Stopped: {self}"]


def command(*arguments):
    """Run `likeness ...` as on a command line and show what it says; returns 0, or 1 when something failed."""
    words = [str(word) for word in arguments]
    print("$", shlex.join(["likeness", *words]))
    process = subprocess.Popen(
        [sys.executable, "-m", "likeness", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1", "FORCE_COLOR": ""},  # kernels set it; here no bar could move
    )
    problem = ""
    for line in process.stdout:
        if line.startswith("likeness: "):  # what ends a command
            problem = line.removeprefix("likeness: ").strip()
        else:
            print(line, end="")
    if process.wait() not in (0, 1) or problem:
        raise Stop(problem or f"likeness {words[0]} ended with status {process.returncode}, see above")
    return process.returncode


if importlib.util.find_spec("likeness") is None:
    checkouts = [folder for folder in (Path.cwd(), Path.cwd().parent) if (folder / "src" / "likeness").is_dir()]
    package = f"{checkouts[0] if checkouts else 'likeness'}[@EXTRAS@]"
    if subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package]).returncode:
        raise Stop(f"pip could not install {package}, see above")
    importlib.invalidate_caches()

print("Likeness", version("likeness"))'''

WEIGHTS_BUILT_IN = """\
from likeness.methods import card

if WEIGHTS and not Path(WEIGHTS).is_file():
    raise Stop(f"WEIGHTS: there is no file {WEIGHTS}")
print(f"The weights: {WEIGHTS or 'in the package'}. Licence: {card(MODEL).licence}")"""

WEIGHTS_OWN = """\
from likeness.methods import card

print(f"{card(MODEL).title}: {card(MODEL).checkpoints['unet']}")
if not WEIGHTS:
    raise Stop(f"nobody has published weights of {MODEL}: set WEIGHTS above to a file of your own")
if not Path(WEIGHTS).is_file():
    raise Stop(f"WEIGHTS: there is no file {WEIGHTS}")"""

WEIGHTS_RELEASED = """\
from likeness.weights import store
from likeness.weights.catalogue import find

needed = [] if WEIGHTS else @NEEDED@
if WEIGHTS and not Path(WEIGHTS).is_file():
    raise Stop(f"WEIGHTS: there is no file {WEIGHTS}")
for name in needed:
    try:
        entry = find(name)
    except ValueError as error:
        raise Stop(error) from None
    print(store.terms(entry))
    if store.state(entry) == "here":
        print(f"{entry.name}: here")
    elif entry.urls and not ACCEPT_LICENCE:
        raise Stop(
            f"the weights {entry.name} are not here. Read the licence above; to accept it and fetch them, set "
            "ACCEPT_LICENCE = True, or set WEIGHTS to a file of your own"
        )
    else:
        command("models", "pull", entry.name, *(["--accept-licence"] if ACCEPT_LICENCE else []))"""

WEIGHTS_COMPARED = """\
from likeness.weights import store
from likeness.weights.catalogue import find

FURTHER = @FURTHER@

for method in METHODS:
    name = method.partition(":")[0]
    if name == "likeness" or Path(name).is_file() or Path(method).is_file():
        continue
    for each in [name, *FURTHER.get(name, [])]:
        try:
            entry = find(each)
        except ValueError as error:
            raise Stop(error) from None
        print(store.terms(entry))
        if store.state(entry) == "here":
            print(f"{entry.name}: here")
        elif entry.urls and not ACCEPT_LICENCE:
            raise Stop(
                f"the weights {entry.name} are not here. Read the licence above; to accept it and fetch them, set "
                f"ACCEPT_LICENCE = True, or take {name} out of METHODS"
            )
        else:
            command("models", "pull", entry.name, *(["--accept-licence"] if ACCEPT_LICENCE else []))"""

PHOTOS = """\
# The photographs: PHOTOS, or an upload (in Colab), or the folder photos/, or a portrait that is degraded here.
photos = Path(PHOTOS or "photos")
if PHOTOS and not photos.exists():
    raise Stop(f"PHOTOS: there is no {PHOTOS}")
if not PHOTOS and "google.colab" in sys.modules:
    from google.colab import files

    for name, data in files.upload().items():
        photos.mkdir(exist_ok=True)
        (photos / name).write_bytes(data)

demo = not PHOTOS and not (photos.is_dir() and any(photos.iterdir()))
if demo:
    from likeness.degrade import Step, apply_steps
    from likeness.photo import Photo, write_photo

    try:
        import skimage.data
    except ImportError:
        raise Stop("there are no photographs: put some into the folder photos/, or set PHOTOS") from None
    clean = Photo.from_array(skimage.data.astronaut())  # Eileen Collins, by NASA, public domain
    damage = [
        Step("gaussian_blur", {"sigma_x": 1.3}),
        Step("resize", {"height": 256, "width": 256, "kernel": "bilinear"}),
        Step("gaussian_noise", {"sigma": 4.0, "seed": 1}),
        Step("jpeg", {"quality": 70}),
        Step("resize", {"height": 512, "width": 512, "kernel": "bicubic"}),
    ]
    photos = Path("demo/photos")
    write_photo(clean, Path("demo/clean/astronaut.png"))
    write_photo(clean.with_pixels(apply_steps(clean.as_float(), damage)), photos / "astronaut.png")
print("photographs:", photos)"""

NEEDS = {
    "references": """\
# Sharp photographs of the same person, one to four; or a folder for each of several people.
references = Path(REFERENCE or "references")
if not REFERENCE and "google.colab" in sys.modules and not demo:
    from google.colab import files

    for name, data in files.upload().items():
        references.mkdir(exist_ok=True)
        (references / name).write_bytes(data)
if not references.is_dir():
    if not demo or REFERENCE:
        raise Stop(f"put photographs of the same person into the folder {references}/, or set REFERENCE")
    references = Path("demo/clean")  # the very portrait that was degraded: photographs of another day are harder
given = ["--reference", references]""",
    "hole": """\
# What is to be filled: a mask as large as the photo (white = fill), a folder of masks, or "black".
hole = HOLE
if not hole:
    if not demo:
        raise Stop("say what is to be filled: set HOLE to a mask, to a folder of masks, or to 'black'")
    pixels = clean.pixels.copy()
    pixels[130:160, 180:196] = 0  # a hole in the cheek of the demo's portrait
    photos, hole = Path("demo/damaged"), "black"
    write_photo(clean.with_pixels(pixels), photos / "astronaut.png")
given = ["--hole", hole]""",
    "landmarks": """\
# 68 points of each face. Without a file of them, rough ones: where eyes, nose and mouth are in any aligned face.
landmarks = Path(LANDMARKS or "rough-landmarks.json")
if LANDMARKS and not landmarks.is_file():
    raise Stop(f"LANDMARKS: there is no file {LANDMARKS}")
if not LANDMARKS:
    import numpy as np

    from likeness.faces import load_detector
    from likeness.faces.geometry import apply_transform, invert_transform
    from likeness.photo import PhotoError, find_photos, read_photo

    outline = [(range(17), 256, 330, 240), (range(17, 22), 190, 215, 60), (range(22, 27), 320, 215, 60)]
    parts = [(range(27, 36), 256, 290, 50), (range(36, 42), 193, 240, 40), (range(42, 48), 319, 240, 40)]
    mouth = [(range(48, 68), 256, 371, 110)]
    points = np.zeros((68, 2))
    for part, x, y, width in outline + parts + mouth:  # each an ellipse, in pixels of the aligned face of 512
        turn = np.linspace(0, 2 * np.pi, len(part), endpoint=False)
        points[list(part)] = np.stack([x + width / 2 * np.cos(turn), y + width / 5 * np.sin(turn)], axis=1)
    rough, detector = {}, load_detector("dlib")
    for one in find_photos([photos]):
        try:
            pixels = read_photo(one.path).as_float()
        except PhotoError:
            continue  # the report will say why it cannot be read
        found = detector.detect(np.rint(pixels * 255).astype(np.uint8))
        rough[one.path.name] = [apply_transform(invert_transform(face.transform), points).tolist() for face in found]
    landmarks.write_text(json.dumps(rough), encoding="utf-8")
given = ["--landmarks", landmarks]""",
}

RESTORE = """\
output = Path("outputs") / MODEL
asked = ["--method", MODEL, *(["--weights", WEIGHTS] if WEIGHTS else []), "--seed", SEED, "--device", DEVICE]
for name, value in OPTIONS.items():
    asked += ["--option", f"{name}={value}"]
command("restore", photos, "-o", output, *asked@GIVEN@)
if not (output / "report.json").is_file():
    raise Stop("likeness restore wrote no report, see above")"""

RESULTS = """\
@DISPLAY@
from PIL import Image

from likeness.photo import read_photo

FACES_SHOWN = 4  # of each photograph


def side_by_side(*paths, box=None, height=320):
    # whole, or what each has in and around the box
    pictures = []
    for path in paths:
        picture = Image.fromarray((read_photo(Path(path)).as_float() * 255).round().astype("uint8"))
        if box:
            margin = (box[2] - box[0]) / 3
            left, top, right, bottom = box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin
            picture = picture.crop((max(left, 0), max(top, 0), min(right, picture.width), min(bottom, picture.height)))
        pictures.append(picture.resize((round(picture.width * height / picture.height), height)))
    sheet = Image.new("RGB", (sum(p.width for p in pictures) + 8 * (len(pictures) - 1), height), "white")
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + 8
    return sheet


def in_words(face):
    if face["status"] != "restored":
        return f"{face['status']}: {face['reason']}"
    verdict = "likely the same person" if face["same_person"] else "MAY BE ANOTHER PERSON"
    words = f"restored, {verdict}: identity distance {face['identity_distance']:.2f} between before and after"
    if face["uncertainty"] is not None:
        words += f"; the samples differ by {face['uncertainty']:.3f} on average"
    return f"{words}; {face['seconds']:.1f} s" + (f"; {face['note']}" if face["note"] else "")


"""

RESULTS_OF_ONE = (
    RESULTS.replace("@DISPLAY@", "from IPython.display import display")
    + """\
report = json.loads((output / "report.json").read_text(encoding="utf-8"))
print(f"method {report['settings']['method']}, options {report['settings']['options']}")
for photo in report["photos"]:
    print(f"\\n{photo['input']}: {photo['reason'] or photo['status']}")
    for number, face in enumerate(photo["faces"], 1):
        print(f"  face {number}: {in_words(face)}")
    if photo["output"]:
        restored = [face["box"] for face in photo["faces"] if face["status"] == "restored"]
        for box in [None, *restored[:FACES_SHOWN]]:
            display(side_by_side(photo["input"], output / photo["output"], box=box))"""
)

COMPARE = """\
output = Path("outputs/compare")
asked = ["--methods", ",".join(METHODS), "--prefer", PREFER, "--seed", SEED, "--device", DEVICE]
truth = TRUTH or ("demo/clean" if demo else "")
for name, value in {"--truth": truth, "--reference": REFERENCE, "--metrics": METRICS}.items():
    asked += [name, value] if value else []
command("compare", photos, "-o", output, *asked)
if not (output / "index.html").is_file():
    raise Stop("likeness compare wrote no page, see above")"""

RESULTS_OF_ALL = (
    RESULTS.replace("@DISPLAY@", "from IPython.display import FileLink, display")
    + """\
compared = json.loads((output / "compare.json").read_text(encoding="utf-8"))
for photo in compared["pictures"]:
    shown, boxes = [output / photo["input"]] if photo["input"] else [], []
    print(f"\\n{photo['name']}, from left to right: as it was")
    for method in compared["methods"][1:]:  # the first is the photograph as it was
        its = method["pictures"].get(photo["name"], {})
        if its.get("output"):
            shown.append(output / its["output"])
            boxes = boxes or [face["box"] for face in its["faces"] if face["status"] == "restored"]
        print(f"  {method['name']}:", "; ".join(map(in_words, its.get("faces", []))) or method["error"] or "no face")
    for box in [None, *boxes[:FACES_SHOWN]] if shown else []:
        display(side_by_side(*shown, box=box, height=240))
display(FileLink(output / "index.html"))"""
)
