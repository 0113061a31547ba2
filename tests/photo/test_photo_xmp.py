"""Statements in XMP: in every format, beside what a packet holds, and where there is no room for them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import photo_files as files
import pytest
from PIL import Image

from likeness.photo import Photo, Statement, add_statement, read_photo, read_statements, write_photo
from likeness.photo.exif import user_comment

NAMESPACE = "http://example.invalid/ns/"
FIELDS = {"what": '5 < 7 & ]]> "zwölf" 日本', "options": '{"w": 0.5}'}
METADATA = [".jpg", ".png", ".webp", ".tif", ".heic", ".avif"]
LOSSLESS = {".webp": True, ".heic": True}
DESCRIBED = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<r:Description r:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Darkroom 3"><dc:description><r:Alt>'
    b'<r:li xml:lang="x-default">Mother, about 1962</r:li></r:Alt></dc:description></r:Description>'
    b"</r:RDF></x:xmpmeta>" + b" " * 99 + b'\n<?xpacket end="w"?>'
)


def statement(**fields: str) -> Statement:
    return Statement(NAMESPACE, "ours", "changes", fields or FIELDS, "It was changed.", "Changer 1")


def photo(dtype: type = np.uint8, **extras: Any) -> Photo:
    return Photo(files.picture(3, dtype), extras=extras)


def saved(made: Photo, path: Path) -> Photo:
    return read_photo(write_photo(made, path, lossless=LOSSLESS.get(path.suffix, False)))


def without(whole: bytes, part: bytes) -> bytes:
    """``whole`` less one run of bytes, so that ``part`` is left, where that is possible."""
    start = next(i for i, (a, b) in enumerate(zip(whole, part, strict=False)) if a != b)
    return whole[:start] + whole[len(whole) - (len(part) - start) :]


@pytest.mark.parametrize("xmp", [None, files.XMP % 1, DESCRIBED], ids=["no xmp", "xmp", "described"])
@pytest.mark.parametrize("suffix", METADATA)
def test_it_comes_back_and_the_pixels_are_the_same(tmp_path: Path, suffix: str, xmp: bytes | None) -> None:
    plain = photo() if xmp is None else photo(xmp=xmp)
    stated, remark = add_statement(plain, statement(), f"x{suffix}")
    assert remark is None
    assert stated.pixels is plain.pixels
    assert stated.exif is None
    back, control = saved(stated, tmp_path / f"x{suffix}"), saved(plain, tmp_path / f"y{suffix}")
    assert read_statements(back, NAMESPACE, "changes") == [FIELDS]
    assert np.array_equal(back.pixels, control.pixels)
    assert read_statements(control, NAMESPACE, "changes") == []
    again, _ = add_statement(back, statement(what="again"), f"x{suffix}")
    assert read_statements(saved(again, tmp_path / f"z{suffix}"), NAMESPACE, "changes") == [FIELDS, {"what": "again"}]


def test_sixteen_bits_and_transparency_stay(tmp_path: Path) -> None:
    for suffix in (".png", ".tif"):
        array = files.picture(4, np.uint16)
        plain = Photo(array[:, :, :3], array[:, :, 3])
        back = saved(add_statement(plain, statement(), f"x{suffix}")[0], tmp_path / f"x{suffix}")
        assert back.alpha is not None
        assert np.array_equal(np.dstack([back.pixels, back.alpha]), array)
        assert len(read_statements(back, NAMESPACE, "changes")) == 1


def test_a_packet_keeps_every_byte_and_a_users_words() -> None:
    made, _ = add_statement(photo(xmp=DESCRIBED), statement(), "x.jpg")
    assert without(made.extras["xmp"], DESCRIBED) == DESCRIBED
    assert b'rdf:about="uuid:1"' in made.extras["xmp"]
    assert b"It was changed" not in made.extras["xmp"]
    assert b"Changer 1" not in made.extras["xmp"]
    tree = ElementTree.fromstring(made.extras["xmp"])  # another reader agrees that it is one document
    (words,) = (node for node in tree.iter() if node.tag.endswith("}description"))
    assert "".join(words.itertext()) == "Mother, about 1962"
    assert [node.text for node in tree.iter(f"{{{NAMESPACE}}}options")] == [FIELDS["options"]]


def test_a_picture_without_description_gets_one_but_none_is_hidden() -> None:
    def described(made: Photo) -> tuple[bool, bool]:
        xmp = add_statement(made, statement(), "x.png")[0].extras["xmp"]
        return b"It was changed" in xmp, b"Changer 1" in xmp

    maker = Image.Exif()
    maker[0x010E], maker[0x0131] = "Aunt Ida", "Camera 1.0"
    exif = maker.tobytes().removeprefix(b"Exif\0\0")
    assert described(photo()) == (True, True)
    assert described(photo(xmp=files.XMP % 1)) == (True, True)
    assert described(dataclasses.replace(photo(), exif=exif)) == (False, False)
    assert described(dataclasses.replace(photo(), exif=files.exif(1))) == (True, True)
    assert described(photo(png_chunks=((b"tEXt", b"Description\0Aunt Ida"),))) == (False, True)
    assert described(photo(photoshop=b"Photoshop 3.0\0")) == (False, True)


RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'


@pytest.mark.parametrize(
    "packet",
    [
        f"<rdf:RDF {RDF}/>".encode(),
        f"<rdf:RDF {RDF} a='/>'/>".encode(),  # what ends the tag, within a value
        b"\xef\xbb\xbf" + f"<rdf:RDF {RDF}></rdf:RDF >".encode(),
        f'<?xml version="1.0" encoding="ISO-8859-1"?><rdf:RDF {RDF}><!-- gr\u00fcn --></rdf:RDF>'.encode("latin-1"),
        files.XMP % 1 + b"\0\0",  # as some cameras pad it
        f'<rdf:RDF {RDF} xmlns:ours="urn:other"><rdf:Description ours:changes="1"/></rdf:RDF>'.encode(),
        f'<rdf:RDF {RDF}><rdf:Description xmlns:o="{NAMESPACE}"><o:changes><rdf:Seq/></o:changes></rdf:Description>'
        "</rdf:RDF>".encode(),
    ],
    ids=["empty", "empty with />", "byte order mark", "latin-1", "zeros", "our prefix", "an empty list"],
)
def test_odd_packets_are_added_to(packet: bytes) -> None:
    made, remark = add_statement(photo(xmp=packet), statement(), "x.png")
    assert remark is None
    assert read_statements(made, NAMESPACE, "changes") == [FIELDS]
    assert made.extras["xmp"].count(b"changes><rdf:Seq") <= 1


@pytest.mark.parametrize(
    "item",
    [
        '<rdf:li rdf:parseType="Resource"><o:a>1</o:a><o:b>2</o:b></rdf:li>',
        '<rdf:li o:a="1" o:b="2"/>',
        '<rdf:li><rdf:Description o:a="1"><o:b>2</o:b></rdf:Description></rdf:li>',
    ],
    ids=["elements", "attributes", "a node"],
)
def test_what_other_writers_make_of_it_is_read(item: str) -> None:
    body = f'<o:changes xmlns:o="{NAMESPACE}"><rdf:Seq>{item}</rdf:Seq></o:changes>'
    packet = f'<rdf:RDF {RDF}><rdf:Description rdf:about="">{body}</rdf:Description></rdf:RDF>'.encode()
    assert read_statements(photo(xmp=packet), NAMESPACE, "changes") == [{"a": "1", "b": "2"}]


def laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "ha"}">' for i in range(12))
    return f"<!DOCTYPE rdf:RDF [{entities}]><rdf:RDF {RDF}>&l11;</rdf:RDF>".encode()


UNREADABLE = {
    "cut": DESCRIBED[:300],
    "no xml": b"\xff\xfe\x01 nothing of use",
    "no rdf": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
    "entities": laughs(),
    "external": f'<!DOCTYPE r SYSTEM "file:///etc/passwd"><rdf:RDF {RDF}></rdf:RDF>'.encode(),
    "unknown encoding": b'<?xml version="1.0" encoding="klingon"?><a/>',
    "utf-16": f"<rdf:RDF {RDF}></rdf:RDF>".encode("utf-16"),
}


@pytest.mark.parametrize("packet", UNREADABLE.values(), ids=UNREADABLE)
def test_a_packet_that_cannot_be_read_is_kept_and_exif_speaks(packet: bytes) -> None:
    made, remark = add_statement(photo(xmp=packet), statement(), "x.jpg")
    assert made.extras["xmp"] == packet
    assert "UserComment" in str(remark)
    assert read_statements(made, NAMESPACE, "changes") == [FIELDS]
    again, _ = add_statement(made, statement(what="again"), "x.jpg")
    assert read_statements(again, NAMESPACE, "changes") == [FIELDS, {"what": "again"}]


@pytest.mark.parametrize("exif", [None, "<", ">"])
@pytest.mark.parametrize("suffix", METADATA)
def test_the_comment_is_written_beside_what_exif_holds(tmp_path: Path, suffix: str, exif: str | None) -> None:
    broken = photo(xmp=UNREADABLE["cut"])
    payload = None if exif is None else files.exif(1, order=exif)
    made, _ = add_statement(dataclasses.replace(broken, exif=payload), statement(), f"x{suffix}")
    back = saved(made, tmp_path / f"x{suffix}")
    assert read_statements(back, NAMESPACE, "changes") == [FIELDS]
    assert back.extras["xmp"] == UNREADABLE["cut"]
    with Image.open(tmp_path / f"x{suffix}") as image:
        seen = image.getexif()
        assert seen.get_ifd(0x8769)[0x9286].startswith(b"ASCII\0\0\0{")
        if exif is not None:
            assert seen[0x0110] == "Likeness test camera"
            assert seen.get_ifd(0x8769)[0x927C] == b"MakerNote\0" + bytes(range(50))
            assert seen.get_ifd(0x8825)[2] == (51, 30, 0)
    if payload is not None:
        assert made.exif is not None
        assert made.exif[8 : len(payload)].count(b"MakerNote") == 1  # moved nowhere
        assert made.exif.index(b"MakerNote") == payload.index(b"MakerNote")


def test_a_jpeg_without_room_in_xmp_uses_exif(tmp_path: Path) -> None:
    packet = DESCRIBED.replace(b" " * 99, b" " * 64_600)
    made, remark = add_statement(photo(xmp=packet), statement(), "x.jpg")
    assert "UserComment" in str(remark)
    assert read_statements(saved(made, tmp_path / "x.jpg"), NAMESPACE, "changes") == [FIELDS]
    assert add_statement(photo(xmp=packet), statement(), "x.png")[1] is None


def test_a_users_comment_is_not_replaced() -> None:
    comment = b"ASCII\0\0\0{Ida, 1962}"
    maker = Image.Exif()
    maker.get_ifd(0x8769)[0x9286] = comment
    theirs = dataclasses.replace(photo(xmp=UNREADABLE["cut"]), exif=maker.tobytes().removeprefix(b"Exif\0\0"))
    assert user_comment(theirs.exif) == comment
    made, remark = add_statement(theirs, statement(), "x.jpg")
    assert made is theirs
    assert "not in the picture" in str(remark)


def test_bmp_has_no_place() -> None:
    made, remark = add_statement(photo(), statement(), "x.bmp")
    assert "BMP" in str(remark)
    assert read_statements(made, NAMESPACE, "changes") == []
