"""Published tables as data: figures against their sources by hand, and that no table mixes protocols."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from likeness.study import protocols, published
from likeness.study.published import TableError

# Typed by hand from the sources: table, method, column -> figure.
FIGURES = [
    ("celeba-test-pmrf", "PMRF", "FID", 37.46),
    ("celeba-test-pmrf", "RestoreFormer++", "Deg", 29.63),
    ("celeba-test-pmrf", "DOT", "KID", 0.0914),
    ("celeba-test-pmrf", "BFRffusion", "LMD", 1.992),
    ("celeba-test-daefr-osdface", "OSDFace (1)", "FID (HQ)", 17.06),
    ("celeba-test-daefr-osdface", "PGDiff (1000)", "FID (FFHQ)", 44.63),
    ("celeba-test-daefr-dmdp-fr", "DMDP-FR", "SSIM", 0.649),
    ("celeba-test-daefr-dmdp-fr", "CodeFormer", "IDA", 1.019),
    ("celeba-test-dynfacerestore", "DynFaceRestore", "LMD", 3.419),
    ("lfw-osdface", "DiffBIR", "FID", 40.32),
    ("lfw-dmdp-fr", "AuthFace", "FID", 47.43),
    ("webphoto-osdface", "RestoreFormer++", "FID", 75.07),
    ("webphoto-dmdp-fr", "DAEFR", "FID", 77.34),
    ("wider-osdface", "OSDFace", "FID", 34.65),
    ("wider-dmdp-fr", "DMDP-FR", "FID", 35.26),
    ("webphoto-dynfacerestore", "DynFaceRestore", "FID", 95.32),
    ("wider-osdface-no-reference", "DiffBIR", "MANIQA", 0.663),
    ("lfw-osdface-no-reference", "DAEFR", "NIQE", 3.479),
    ("lfw-iqpir", "CodeFormer", "Q-Align", 4.31),
    ("idm-table-1", "IDM", "PSNR", 27.42),
    ("idm-table-1", "CodeFormer", "ID", 0.75),
    ("idm-table-2", "IDM", "SSIM", 0.803),
    ("idm-table-2", "DFDNet", "LPIPS-VGG", 0.404),
    ("idm-table-3", "IDM", "Preferred (%)", 71.6),
    ("idm-table-6", "IDM (5 steps)", "PSNR", 13.11),
    ("idm-table-6", "IDM (20 steps)", "LPIPS-VGG", 0.308),
    ("rdfr-table-1-bfr", "Ours", "FID", 18.87),
    ("rdfr-table-1-bfr", "GFPGAN*", "LPIPS", 0.296),
    ("rdfr-table-1-x8", "HiFaceGAN", "PSNR", 26.36),
    ("rdfr-table-1-x16", "HiFaceGAN", "FID", 36.26),
    ("rdfr-table-1-x16", "PULSE", "LPIPS", 0.425),
    ("rdfr-table-1-x8", "mGANprior", "FID", 104.20),
    ("rdfr-table-2", "Ours", "iPrecision", 0.980),
    ("rdfr-table-2", "Bicubic", "Preferred (%)", 0.8),
    ("rdfr-table-3", "+ Noise", "PSNR", 27.40),
    ("scface-papers-000", "GFPGAN", "Antelope", 0.33),
    ("scface-papers-000", "Original (before restoration)", "Buffalo", 0.40),
    ("scface-papers-000", "Original (before restoration)", "Antelope", None),
    ("ntire-2025", "AllForFace", "MANIQA", 0.7285),
    ("celebref-hq-dmdnet", "DMDNet", "PSNR", 28.97),
]


@pytest.mark.parametrize(("name", "method", "column", "figure"), FIGURES)
def test_a_figure_is_the_one_of_the_source(name: str, method: str, column: str, figure: float | None) -> None:
    table = published.find(name)
    assert table.rows[method][[one.name for one in table.columns].index(column)] == figure


def test_the_tables_have_all_rows_of_their_sources() -> None:
    rows = {table.name: len(table.rows) for table in published.tables()}
    assert rows["celeba-test-pmrf"] == 11
    assert rows["celeba-test-daefr-osdface"] == 10
    assert rows["celeba-test-daefr-dmdp-fr"] == 14
    assert rows["celeba-test-dynfacerestore"] == 7
    assert [rows[f"{name}-osdface"] for name in ("lfw", "webphoto", "wider")] == [8, 8, 8]
    assert [rows[f"{name}-dmdp-fr"] for name in ("lfw", "webphoto", "wider")] == [10, 10, 10]
    assert [rows[f"idm-table-{n}"] for n in (1, 2, 3, 6)] == [6, 6, 5, 4]
    assert [rows[f"rdfr-table-1-{task}"] for task in ("bfr", "x8", "x16")] == [9, 9, 9]
    assert len(rows) == 33


def test_no_table_mixes_protocols() -> None:
    ours = {one.name: one for one in protocols.protocols()}
    claimed = [name for protocol in ours.values() for name in protocol.published]
    assert len(set(claimed)) == len(claimed)  # no table belongs to two protocols
    for table in published.tables():
        assert table.source
        assert (table.name in claimed) == (table.protocol in ours)
        if table.protocol in ours:
            assert table.name in ours[table.protocol].published
            assert table in published.tables_for(table.protocol)
    # CelebA-Test is four ways to measure, and only GFPGAN's set measured as PMRF does is our celeba-test
    labels = {table.protocol for table in published.tables() if table.protocol.startswith("celeba-test")}
    assert len(labels) == 4
    assert [table.name for table in published.tables_for("celeba-test")] == ["celeba-test-pmrf"]
    # one method on one set has another FID where others measured it: those are two tables
    assert published.find("lfw-osdface").figures("fid-basicsr")["CodeFormer"] == 52.34
    assert published.find("lfw-dmdp-fr").figures("fid-basicsr")["CodeFormer"] == 54.41


def test_metrics_are_better_where_ours_are() -> None:
    """A direction typed wrong would rank methods upside down."""
    higher = {"psnr", "ssim", "precision", "iprecision", "arcface-cosine"}
    for table in published.tables():
        for column in table.columns:
            if column.metric:
                assert column.higher_is_better == (column.metric in higher), (table.name, column)


def test_figures_leave_out_what_is_not_there() -> None:
    table = published.find("scface-papers-000")
    assert table.figures("arcface-cosine") == {
        "Original (before restoration)": 0.40, "GFPGAN": 0.35, "InstantRestore": 0.34,
    }  # fmt: skip
    assert table.figures("psnr") == {}
    assert published.tables_for("nothing") == []
    with pytest.raises(TableError, match="'nothing'"):
        published.find("nothing")


VALID: dict[str, Any] = {
    "name": "mine", "protocol": "own-folder", "source": "a test",
    "columns": [{"name": "PSNR", "metric": "psnr", "higher_is_better": True}], "rows": {"A": [1.5]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"source": " "}, "source must be a text"),
        ({"protocol": "A B"}, "protocol must be made of"),
        ({"rows": {"A": [1.5, 2.5]}}, "row 'A' has 2 figures for 1 columns"),
        ({"rows": {"A": ["1.5"]}}, "row 'A': figures must be numbers"),
        ({"rows": {"A": [float("nan")]}}, "figures must be numbers"),
        ({"rows": {3: [1.5]}}, "a method must be a text"),
        ({"rows": {}}, "must have rows"),
        ({"columns": [{"name": "X", "metric": "beauty", "higher_is_better": True}]}, "no metric is called 'beauty'"),
        ({"columns": [{"name": "X", "metric": None, "higher_is_better": "yes"}]}, "higher_is_better must be"),
        ({"columns": VALID["columns"] * 2}, "columns must be different"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_table_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(TableError, match="published table 'mine': ") as caught:
        published.read_tables(yaml.safe_dump([VALID | fields]))
    assert named in str(caught.value)
