"""The notebooks: equal to what build.py makes, valid, and executed, with made-up weights in place of the released."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

import scenes
from likeness.methods import METHODS, card
from likeness.study.published import tables
from parity_fixture import draw, fill

nbformat = pytest.importorskip("nbformat", reason="needs nbformat, nbclient and ipykernel")
pytest.importorskip("nbclient", reason="needs nbformat, nbclient and ipykernel")
pytest.importorskip("ipykernel", reason="needs nbformat, nbclient and ipykernel")

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
TEXTS: list[dict[str, Any]] = yaml.safe_load((NOTEBOOKS / "texts.yaml").read_text(encoding="utf-8"))
FILES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
Command = Callable[..., scenes.Ended]
Execute = Callable[..., Any]
State = dict[str, Tensor]


def read(name: str) -> Any:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def cell(notebook: Any, name: str) -> Any:
    return next(one for one in notebook.cells if one.id == name)


def said(notebook: Any, name: str) -> str:
    """What a cell printed."""
    return "".join(out.text for out in cell(notebook, name).outputs if out.output_type == "stream")


def pictures(notebook: Any, name: str) -> int:
    """How many pictures a cell shows."""
    return sum("image/png" in out.get("data", {}) for out in cell(notebook, name).outputs)


# As they are committed


def test_the_committed_notebooks_are_what_build_makes(tmp_path: Path) -> None:
    command = [sys.executable, str(NOTEBOOKS / "build.py"), "-o", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, env=scenes.environment())
    made = {path.name: path.read_bytes() for path in tmp_path.glob("*.ipynb")}
    committed = {path.name: path.read_bytes() for path in NOTEBOOKS.glob("*.ipynb")}
    assert made.keys() == committed.keys()
    assert [name for name in made if made[name] != committed[name]] == [], "run python notebooks/build.py"


def test_each_method_has_a_notebook() -> None:
    assert sorted(name for text in TEXTS for name in text["methods"]) == sorted(METHODS)
    assert sorted([*(text["file"] for text in TEXTS), "compare"]) == FILES


@pytest.mark.parametrize("name", FILES)
def test_valid_clean_and_short(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert 8 <= len(notebook.cells) <= 12
    codes = [one for one in notebook.cells if one.cell_type == "code"]
    assert codes[0].id == "parameters"
    assert codes[0].metadata.tags == ["parameters"]
    for one in codes:
        assert one.outputs == []
        assert one.execution_count is None
        ast.parse(one.source)  # plain Python, no magics
        assert not re.search(r"https?://|pypi|index-url|pip['\", ]+-i\b", one.source)
    everything = "\n".join(one.source for one in notebook.cells)
    assert not re.search(r"(?<![\w.])/(home|root|work|tmp|Users|mnt|opt)/", everything)
    assert "ACCEPT_LICENCE = True" not in codes[0].source


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text["file"])
def test_the_card_is_explained(text: dict[str, Any]) -> None:
    words = "\n".join(one.source for one in read(text["file"]).cells if one.cell_type == "markdown")
    for facts in map(card, text["methods"]):
        assert facts.title in words
        assert facts.paper in words
        assert facts.licence in words
        for option in facts.options:
            assert f"| `{option.name}` | {option.default} | {option.low} to {option.high} | {option.help} |" in words
    known = {name for table in tables() for name in table.rows}
    assert set(text.get("rows", [])) <= known
    example = ast.literal_eval(text.get("example", "{}"))
    card(text["methods"][0]).choose(example)  # raises OptionError


# Executed


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Execute:
    """Run a notebook in a folder of its own, with a store of its own: (name, settings) -> the executed notebook.

    ``settings`` is code that runs after the cell of parameters. The notebook is there too when a cell failed.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    for variable, folder in (("LIKENESS_HOME", "home"), ("IPYTHONDIR", "ipython"), ("JUPYTER_RUNTIME_DIR", "runtime")):
        monkeypatch.setenv(variable, str(tmp_path / folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("LIKENESS_OFFLINE", "1")
    work = tmp_path / "work"
    work.mkdir()

    def run(name: str, settings: str = "", *, fails: bool = False) -> Any:
        notebook = read(name)
        place = notebook.cells.index(cell(notebook, "parameters")) + 1
        notebook.cells.insert(place, nbformat.v4.new_code_cell(settings, id="injected"))
        client = NotebookClient(
            notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": str(work)}}
        )
        if fails:
            with pytest.raises(CellExecutionError):
                client.execute()
        else:
            client.execute()
        return notebook

    return run


def restored(work: Path, output: str, source: str, name: str = "astronaut.png") -> np.ndarray:
    """Check one restored face in ``output``; returns (H, W) bool, where the picture differs from ``source``."""
    report = scenes.read_report(work / output)
    (photo,) = report["photos"]
    (face,) = photo["faces"]
    assert face["status"] == "restored", face["reason"]
    before, after = scenes.load_pixels(work / source / name), scenes.load_pixels(work / output / name)
    changed: np.ndarray = (before != after).any(axis=2)
    assert not changed[scenes.far_outside(before.shape, face["box"])].any()
    return changed[scenes.inside(face["box"])]


UPLOAD = """
import sys, types
files = types.ModuleType("google.colab.files")
files.upload = lambda: {"face.png": FACE, "empty.png": EMPTY, "broken.png": b"no picture"}
colab = types.ModuleType("google.colab")
colab.files = files
sys.modules |= {"google": types.ModuleType("google"), "google.colab": colab, "google.colab.files": files}
SAMPLES = 2
"""


def test_likeness_restores_what_is_uploaded(execute: Execute, tmp_path: Path) -> None:
    face, empty = scenes.encoded(scenes.portrait(256), "PNG"), scenes.encoded(scenes.landscape(), "PNG")
    notebook = execute("likeness", f"FACE = {face!r}\nEMPTY = {empty!r}\n{UPLOAD}")
    output = tmp_path / "work/outputs/likeness"
    assert (scenes.load_pixels(output / "face.png") != scenes.portrait(256)).any()
    assert np.array_equal(scenes.load_pixels(output / "empty.png"), scenes.landscape())
    report = scenes.read_report(output)
    assert [photo["status"] for photo in report["photos"]] == ["failed", "kept", "restored"]
    assert "failed: " in said(notebook, "restore")  # and the notebook goes on
    words = said(notebook, "results")
    distance = report["photos"][2]["faces"][0]["identity_distance"]
    assert f"identity distance {distance:.2f} between before and after" in words
    assert "the samples differ by 0." in words
    assert report["photos"][0]["reason"] in words
    assert pictures(notebook, "results") == 3  # two photographs and a face


@pytest.mark.slow
def test_compare_makes_its_page_of_the_demo(execute: Execute, tmp_path: Path) -> None:
    notebook = execute("compare", 'METRICS = "psnr"')
    output = tmp_path / "work/outputs/compare"
    for folder in ("likeness", "likeness_steps=1"):
        assert restored(tmp_path / "work", f"outputs/compare/{folder}", "demo/photos").mean() > 0.5
    page = (output / "index.html").read_text(encoding="utf-8")
    assert "likeness:steps=1" in page
    compared = json.loads((output / "compare.json").read_text(encoding="utf-8"))
    assert compared["truth"] is True
    psnr = compared["methods"][1]["scores"]["psnr"]["value"]
    assert f"{psnr:.2f}" in said(notebook, "compare")
    assert "likeness:steps=1: restored, " in said(notebook, "results")
    assert pictures(notebook, "results") == 2  # the photograph and its face
    shown = [out.data["text/html"] for out in cell(notebook, "results").outputs if "text/html" in out.get("data", {})]
    assert "outputs/compare/index.html" in "".join(shown)


STOPS = [
    ("codeformer", "", "weights", "the weights codeformer are not here. Read the licence above"),
    ("codeformer", "ACCEPT_LICENCE = True", "weights", "LIKENESS_OFFLINE forbids to fetch it"),
    ("psfrgan", "", "weights", "psfrgan cannot be fetched by a program. "),
    ("idm", "", "weights", "nobody has published weights of idm: set WEIGHTS above to a file of your own"),
    ("gfpgan", 'MODEL = "gfpgan-9"', "weights", "no weights are called 'gfpgan-9'"),
    ("compare", 'METHODS.append("gpen")', "weights", "or take gpen out of METHODS"),
    ("likeness", 'PHOTOS = "nowhere"', "photos", "PHOTOS: there is no nowhere"),
]


@pytest.mark.parametrize(
    ("name", "settings", "where", "words"), STOPS, ids=[f"{s[0]}-{s[2]}-{i}" for i, s in enumerate(STOPS)]
)
def test_what_is_missing_is_said_in_one_line(
    name: str, settings: str, where: str, words: str, execute: Execute, tmp_path: Path
) -> None:
    notebook = execute(name, settings, fails=True)
    (error,) = [out for out in cell(notebook, where).outputs if out.output_type == "error"]
    (line,) = error.traceback
    assert line.startswith("Stopped: ")
    assert words in line
    assert "\n" not in line
    stopped = notebook.cells.index(cell(notebook, where))
    later = [one for one in notebook.cells[stopped + 1 :] if one.cell_type == "code"]
    assert all(one.execution_count is None for one in later)
    assert not (tmp_path / "work/outputs").exists()


# With made-up weights: small networks of the same code, with the same keys. The faces are noise.


@dataclass(frozen=True)
class Made:
    """Files for the store by their entry, or ``own``, the file for WEIGHTS; and what else to set."""

    store: dict[str, Path] = field(default_factory=dict)
    own: Path | None = None
    settings: str = ""


def by_rule(net: nn.Module) -> State:
    return {
        key: fill(key, list(v.shape), 1.0, []) if v.is_floating_point() and v.ndim else v
        for key, v in net.state_dict().items()
    }


def settled(net: nn.Module) -> State:
    """With the vectors of its spectral norms found."""
    from likeness.nets.spectral import power_iteration

    net.load_state_dict(by_rule(net))
    power_iteration(net, 10)
    return net.state_dict()


def saved(path: Path, what: Any) -> Path:
    torch.save(what, path)
    return path


def gfpgan(folder: Path) -> Made:
    from likeness.methods.gfpgan.original import GFPGANOriginal

    state = by_rule(GFPGANOriginal(size=64, style_dim=16, mlp_layers=2, narrow=1 / 32))
    path = saved(folder / "GFPGANv1.pth", {"params_ema": state})
    return Made({"gfpgan-1": path}, settings='MODEL = "gfpgan-1"; OPTIONS = {"randomize_noise": 0}')


def codeformer(folder: Path) -> Made:
    from likeness.methods.codeformer.network import CodeFormerNet, NetworkConfig

    widths = (32, 32, 32, 32, 64, 64)
    config = NetworkConfig(widths=widths, codes=40, code_dim=32, dim=64, heads=1, layers=2, feedforward=96)
    path = saved(folder / "codeformer.pth", {"params_ema": by_rule(CodeFormerNet(config))})
    return Made(own=path, settings='OPTIONS = {"fidelity": 0.7}')


def restoreformer(folder: Path, heads: int = 8, asking: int = 1) -> Made:
    from likeness.nets.restoreformer import RestoreFormerConfig, RestoreFormerNet

    config = RestoreFormerConfig((32, 32, 32, 32, 64, 64), 1, heads, asking, codes=40, code_dim=32)
    return Made(own=saved(folder / "RestoreFormer.ckpt", by_rule(RestoreFormerNet(config))))


def restoreformer_plusplus(folder: Path) -> Made:
    return Made(own=restoreformer(folder, 4, 2).own, settings='MODEL = "restoreformer++"')


def vqfr(folder: Path) -> Made:
    from likeness.methods.vqfr.v2 import V2Config, VQFRv2

    widths = (32, 32, 32, 32, 64, 64)
    config = V2Config(widths, encoder_blocks=1, decoder_blocks=2, codes=40, code_dim=32, guide=8, groups=2)
    return Made({"vqfr-2": saved(folder / "VQFR_v2.pth", {"params_ema": by_rule(VQFRv2(config))})})


def gpen(folder: Path) -> Made:
    from likeness.methods.gpen.network import GPEN

    net = GPEN(size=64, style_dim=16, mlp_layers=2, narrow=1 / 32)
    return Made({"gpen-512": saved(folder / "GPEN-BFR-512.pth", by_rule(net))})


def dfdnet(folder: Path) -> Made:
    from likeness.methods.dfdnet.dictionary import SCALES, entry_side
    from likeness.methods.dfdnet.landmarks import PARTS, SIZE
    from likeness.methods.dfdnet.network import DFDNet

    (folder / "DictionaryCenter512").mkdir()
    for size in SCALES:
        for part in PARTS:
            numbers = 2 * min(SIZE // size, 8) * entry_side(part, size) ** 2
            array = draw(f"dictionary.{part}_{size}_center", (5, numbers))
            np.save(folder / f"DictionaryCenter512/{part}_{size}_center.npy", array)
    path = saved(folder / "latest_net_G.pth", settled(DFDNet(2, classifier=False)))
    return Made({"dfdnet": path, "dfdnet-dictionary": folder / "DictionaryCenter512"})


def psfrgan(folder: Path) -> Made:
    from likeness.methods.psfrgan.network import PSFRGenerator
    from likeness.nets.parsenet import ParseNet

    net = saved(folder / "psfrgan_epoch15_net_G.pth", settled(PSFRGenerator((6, 6, 4), 128, 19)))
    parser = saved(folder / "parse.pth", by_rule(ParseNet()))  # there is one size
    return Made({"psfrgan": net, "psfrgan-parser": parser})


def hifacegan(folder: Path) -> Made:
    from likeness.methods.hifacegan.network import HiFaceGAN

    return Made({"hifacegan": saved(folder / "latest_net_G.pth", settled(HiFaceGAN(4)))})


def psp(folder: Path) -> Made:
    from likeness.methods.psp.network import PSp

    net = PSp(size=64, style_dim=16, mlp_layers=2, narrow=1 / 32, widths=(16, 32, 48, 16), units=(2, 1, 1, 1))
    held = {"state_dict": by_rule(net), "latent_avg": torch.zeros(10, 16)}
    return Made({"psp-sr": saved(folder / "psp_celebs_super_resolution.pt", held)})


def deblurganv2(folder: Path) -> Made:
    from likeness.methods.deblurganv2.mobilenet import FPNMobileNet

    return Made(own=saved(folder / "fpn_mobilenet.h5", {"model": by_rule(FPNMobileNet(pyramid=16, width=8))}))


def difface(folder: Path) -> Made:
    from likeness.methods.difface.unet import UNet, UNetConfig
    from likeness.nets.swinir import SwinIR, SwinIRConfig

    unet = UNet(UNetConfig(32, (32, 32, 64, 64), (1, 1, 2, 1), (2, 3)))
    swinir = SwinIR(SwinIRConfig(img_size=16, embed_dim=12, depths=(2,), num_heads=(2,), mlp_dim=24, features=8))
    files = {"difface": saved(folder / "unet.pth", by_rule(unet))}
    files["difface-estimator"] = saved(folder / "swinir.pth", by_rule(swinir))
    return Made(files, settings='OPTIONS = {"steps": 2}; SAMPLES = 2')


def difface_inpainting(folder: Path) -> Made:
    from likeness.methods.difface.lama import Lama, LamaConfig
    from likeness.methods.difface.unet import UNet, UNetConfig

    unet = UNet(UNetConfig(32, (32, 32, 32, 32, 64, 64), (1,) * 6, (4, 5)))
    files = {"difface-inpainting": saved(folder / "unet.pth", by_rule(unet))}
    files["difface-lama"] = saved(folder / "lama.pth", by_rule(Lama(LamaConfig(width=8, blocks=1, far=48))))
    return Made(files, settings='OPTIONS = {"steps": 2}')


def pmrf(folder: Path) -> Made:
    from safetensors.torch import save_file

    from likeness.methods.pmrf.network import FlowConfig, NetworkConfig, PMRFNet
    from likeness.nets.swinir import SwinIRConfig

    flow = FlowConfig((32, 48, 64), (1, 2, 1), (2, 3, 2), (40, 56, 72), 32, 2, 24)
    swinir = SwinIRConfig(img_size=16, embed_dim=12, depths=(2,), num_heads=(2,), mlp_dim=20, features=8)
    net = PMRFNet(NetworkConfig(flow, swinir))
    state = by_rule(net)
    state |= {key: v for key, v in net.state_dict().items() if key.endswith(("freqs", "attn_mask"))}  # computed
    state |= {key: v.abs() + 1 for key, v in state.items() if key.endswith(("norm.scale", "self_attn.scale"))}
    save_file({key: value.clone() for key, value in state.items()}, folder / "model.safetensors")
    return Made({"pmrf": folder / "model.safetensors"}, settings='OPTIONS = {"steps": 1}')


def instantrestore(folder: Path) -> Made:
    pytest.importorskip("diffusers", reason="InstantRestore needs diffusers")
    from likeness.methods.instantrestore.config import NetworkConfig, TextConfig
    from likeness.methods.instantrestore.network import InstantRestoreNet

    text = TextConfig(dim=64, feedforward=64, layers=1, heads=1)  # with the words of the prompt
    config = NetworkConfig(
        unet_widths=(64, 128), unet_depth=1, unet_heads=(1, 2), unet_rank=4,
        vae_widths=(32, 32, 32, 32), vae_depth=1, vae_rank=2, text=text,
    )  # fmt: skip
    with torch.device("meta"):
        state = by_rule(InstantRestoreNet(config))
    switches = {"use_adain": True, "train_input": False, "lora_rank_unet": 4, "lora_rank_vae": 2}
    held = {"state_dict": state, "cfg": {"model": switches}}
    return Made({"instantrestore": saved(folder / "final_model_ckpt.pt", held)})


def idm(folder: Path) -> Made:
    from likeness.methods.idm.ddpm_unet import DDPMConfig, DDPMUNet

    net = DDPMUNet(DDPMConfig(ch=32, ch_mult=(1, 1, 1, 1), num_res_blocks=1, attention=(3,)))
    config = {"prediction": "x0", "schedule": {"kind": "linear", "first": 1e-4, "last": 2e-2, "steps": 1000}}
    path = saved(folder / "own.ckpt", {"state_dict": by_rule(net), "config": config})
    return Made(own=path, settings='OPTIONS = {"steps": 2, "sampler": 1}')


def rdfr(folder: Path) -> Made:
    from likeness.methods.rdfr.network import RDFR, Sizes

    net = RDFR(Sizes(widths=(8, 8, 6, 4), style=8, mapping=2, skips=2, codes=5))
    return Made(own=saved(folder / "own.ckpt", by_rule(net)), settings='OPTIONS = {"noise": 0.5}')


def pulse(folder: Path) -> Made:
    from likeness.methods.pulse.synthesis import Synthesis, SynthesisConfig

    path = saved(folder / "synthesis.pt", by_rule(Synthesis(SynthesisConfig((8, 8, 6, 4), latent=16))))
    saved(folder / "gaussian_fit.pt", {"mean": torch.zeros(16), "std": torch.ones(16)})
    few = {"steps": 2, "strict": 0, "reference": 16, "quiet_layer": 7}
    return Made(own=path, settings=f"OPTIONS = {few}")


def mganprior(folder: Path) -> Made:
    from likeness.methods.mganprior.pggan import PGGAN, PGGANConfig

    path = saved(folder / "pggan.pth", by_rule(PGGAN(PGGANConfig((8, 8, 6, 4), latent=16))))
    few = {"steps": 2, "seconds": 60, "codes": 2, "layer": 3, "factor": 4, "perceptual": 0}
    return Made({"mganprior": path}, settings=f"OPTIONS = {few}")


MAKERS: dict[str, tuple[str, Callable[[Path], Made]]] = {
    "gfpgan": ("gfpgan", gfpgan),
    "codeformer": ("codeformer", codeformer),
    "restoreformer": ("restoreformer", restoreformer),
    "restoreformer++": ("restoreformer", restoreformer_plusplus),
    "vqfr": ("vqfr", vqfr),
    "gpen": ("gpen", gpen),
    "dfdnet": ("dfdnet", dfdnet),
    "psfrgan": ("psfrgan", psfrgan),
    "hifacegan": ("hifacegan", hifacegan),
    "psp": ("psp", psp),
    "deblurganv2": ("deblurganv2", deblurganv2),
    "difface": ("difface", difface),
    "difface-inpainting": ("difface-inpainting", difface_inpainting),
    "pmrf": ("pmrf", pmrf),
    "instantrestore": ("instantrestore", instantrestore),
    "idm": ("idm", idm),
    "rdfr": ("rdfr", rdfr),
    "pulse": ("pulse", pulse),
    "mganprior": ("mganprior", mganprior),
}


def test_every_method_is_executed() -> None:
    assert {*MAKERS, "likeness"} == set(METHODS)


@pytest.mark.slow
@pytest.mark.parametrize("method", MAKERS)
def test_a_method_s_notebook_restores_the_demo(method: str, execute: Execute, command: Command, tmp_path: Path) -> None:
    name, maker = MAKERS[method]
    made = maker(tmp_path)
    for entry, path in made.store.items():
        ended = command("models", "add", entry, path)
        assert ended.status == 0, ended.err
    own = f"WEIGHTS = {str(made.own)!r}\n" if made.own else ""
    notebook = execute(name, own + made.settings)
    model = re.search(r'MODEL = "([^"]+)"', made.settings)
    output = f"outputs/{model[1] if model else method}"
    source = "demo/damaged" if method == "difface-inpainting" else "demo/photos"
    changed = restored(tmp_path / "work", output, source)
    if method == "difface-inpainting":
        assert 0 < changed.mean() < 0.2  # the hole and nothing else
    else:
        assert changed.mean() > 0.5
    report = scenes.read_report(tmp_path / "work" / output)
    assert report["settings"]["method"] == method
    assert f"method {method}, options " in said(notebook, "results")
    assert "face 1: restored, " in said(notebook, "results")
    assert pictures(notebook, "results") == 2  # the photograph and its face
    for entry in made.store:
        assert f"{entry}: here" in said(notebook, "weights")
