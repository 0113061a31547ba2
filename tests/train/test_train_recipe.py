"""Recipes: everything wrong is one line that names the key, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from likeness.methods import METHODS
from likeness.train.objectives.build import build_objective
from likeness.train.recipe import RecipeError, load_recipe

GOOD = """
method: likeness
output: runs/x
steps: 10
data: {sources: ["a.tar"], mixture: {idm: 0.9, clean: 0.1}}
optimiser: {rate: 1.0e-4}
"""
RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "my recipe.yaml"
    file.write_text(GOOD, encoding="utf-8")
    return file


def refused(path: Path, match: str, *overrides: str) -> None:
    with pytest.raises(RecipeError, match=match) as caught:
        load_recipe(path, overrides)
    assert len(str(caught.value).splitlines()) == 1, str(caught.value)


def test_data_alone_means_its_sources(path: Path) -> None:
    data = load_recipe(path, ["data=my faces"]).data
    assert (data.sources, data.mixture) == (["my faces"], {"idm": 0.9, "clean": 0.1})


def test_the_crop_is_the_whole_face_unless_it_is_said(path: Path) -> None:
    assert load_recipe(path, ["data={sources: [x], size: 128}"]).data.crop == 128


def test_a_good_recipe(path: Path) -> None:
    recipe = load_recipe(path)
    assert (recipe.steps, recipe.output, recipe.optimiser.rate) == (10, Path("runs/x"), 1e-4)
    assert recipe.data.mixture == {"idm": 0.9, "clean": 0.1}
    assert (recipe.batch, recipe.optimiser.ema, recipe.validation.sources) == (8, 0.999, [])
    again = type(recipe).model_validate(recipe.model_dump(mode="json"))  # as a checkpoint carries it
    assert again == recipe


@pytest.mark.parametrize("file", RECIPES, ids=lambda p: p.stem)
def test_our_own_recipes_are_valid(file: Path) -> None:
    assert load_recipe(file).method in METHODS


def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("stpes=5", "stpes"),
        ("optimiser.rat=1e-4", r"optimiser\.rat"),
        ("data.crops=64", r"data\.crops"),
        ("steps=0", "steps"),
        ("steps=many", "steps"),
        ("steps=null", "steps"),
        ("precision=fp8", "precision"),
        ("method=gfpgan", "method"),
        ("data.crop=100", r"data\.crop"),
        ("data.crop=1024", r"data\.crop"),
        ("data.sources=[]", r"data\.sources"),
        ("data.mixture={idn: 1}", r"data\.mixture: .*unknown degradation 'idn'; known: clean, idm"),
        ("data.mixture={}", r"data\.mixture"),
        ("data.mixture={idm: 0}", r"data\.mixture"),
        ("data.mixture={idm: 2, clean: -1}", r"data\.mixture"),
        ("data.mixture={idm: .nan}", r"data\.mixture"),
        ("data.mixture={idm: .inf}", r"data\.mixture"),
        ("data.weights={a_: -1}", r"data\.weights"),
        ("data.weights={a_: .nan}", r"data\.weights"),
        ("optimiser.rate=-1", r"optimiser\.rate"),
        ("optimiser.rate=.nan", r"optimiser\.rate"),
        ("optimiser.ema=1", r"optimiser\.ema"),
        ("objective.mean_share=1.5", r"objective\.denoise\.mean_share"),
        ("validation.recipe=idn", r"validation\.recipe"),
        ("seed=-1", "seed"),
        ("data=5", "data"),
        ("data.size=100", r"data\.size"),
        ("data={size: 128, crop: 256}", "data"),
    ],
)
def test_a_bad_value_is_named(path: Path, override: str, key: str) -> None:
    refused(path, rf"my recipe\.yaml: .*{key}", override)


def test_an_unknown_key_in_the_file(path: Path) -> None:
    path.write_text(GOOD + "bach: 4\n", encoding="utf-8")
    refused(path, "bach")


def test_all_problems_are_said_at_once(path: Path) -> None:
    refused(path, "steps.*optimiser.rate", "steps=0", "optimiser.rate=-1")


@pytest.mark.parametrize("override", ["steps", "=5", "", "steps.x=5", "output.x.y=1", "data.crop=[1"])
def test_a_bad_override_is_quoted(path: Path, override: str) -> None:
    refused(path, "override", override)


def test_overrides_are_applied_in_order_and_nested(path: Path) -> None:
    recipe = load_recipe(
        path,
        [
            "steps=20",
            "steps=30",
            "optimiser.rate=1e-5",
            "objective.identity=0.5",
            "data.mixture={gfpgan: 1}",
            "data.mixture.clean=0.25",
            "output=runs/a=b",
        ],
    )
    assert recipe.steps == 30
    assert recipe.optimiser.rate == 1e-5
    assert recipe.objective.identity == 0.5  # a group that the file does not have
    assert recipe.data.mixture == {"gfpgan": 1.0, "clean": 0.25}
    assert recipe.output == Path("runs/a=b")


@pytest.mark.parametrize("text", ["precision: no\n", 'precision: "no"\n'])
def test_precision_no_is_not_a_boolean(path: Path, text: str) -> None:
    """YAML 1.1 reads a plain `no` as false."""
    assert "no" in ("no", yaml.safe_load(text)["precision"])
    path.write_text(GOOD + text, encoding="utf-8")
    assert load_recipe(path).precision == "no"
    assert load_recipe(path, ["precision=no"]).precision == "no"


@pytest.mark.parametrize("text", ["steps: [1, 2\nbatch: 3\n", "a: b: c\n", "- 1\n- 2\n", "", "just words"])
def test_a_file_that_is_no_recipe(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    refused(path, r"my recipe\.yaml")


def test_a_file_that_cannot_be_read(path: Path, tmp_path: Path) -> None:
    refused(tmp_path / "absent.yaml", r"absent\.yaml")
    refused(tmp_path, "cannot read recipe")
    path.write_bytes(b"output: caf\xe9\n")
    refused(path, r"my recipe\.yaml")


def test_recipes_that_come_with_likeness_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_recipe("smoke-idm", ["steps=7"]).steps == 7
    refused(Path("smoke-nothing"), "smoke-gfpgan")  # lists those that there are
    refused(Path("elsewhere/smoke-idm"), "there is no recipe")
    (tmp_path / "smoke-idm").write_text(GOOD, encoding="utf-8")  # one's own file comes first
    assert load_recipe("smoke-idm").steps == 10


def test_the_objective_is_chosen_by_its_name(path: Path) -> None:
    assert load_recipe(path).objective.name == "denoise"
    assert load_recipe(path, ["objective={name: sharpen, texture: 1}"]).objective.name == "sharpen"
    refused(path, "texture", "objective.texture=1")  # the denoiser has none
    refused(path, "objective", "objective={name: sharpe}")


def test_identity_needs_whole_faces(path: Path) -> None:
    with pytest.raises(RecipeError, match=r"set data\.crop to 512"):
        build_objective(load_recipe(path, ["objective.identity=0.1", "data.crop=256"]))
