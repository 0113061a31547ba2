"""Statements in XMP (ISO 16684-1): what was done to a picture, added to the metadata that it carries.

A packet that is there already is not written anew: ours is put between its bytes, which all stay as they are. Where
XMP cannot be read or has no room, the statement goes to the UserComment of EXIF, as JSON, unless a user's is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from .errors import suffix_of
from .exif import has_text, user_comment, with_user_comment
from .formats import FORMAT_OF_SUFFIX
from .photo import Photo

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
XMP = "http://ns.adobe.com/xap/1.0/"
IMAGE_DESCRIPTION, SOFTWARE = 0x010E, 0x0131
_JPEG_ROOM = 65_533 - 29  # of a segment, less its identifier (XMP part 3, 1.1.3); EXIF's is shorter
_ASCII = b"ASCII\0\0\0"  # character code of a UserComment (EXIF 2.32, 4.6.5)
_HEAD = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
_TAIL = b'\n</x:xmpmeta>\n<?xpacket end="w"?>'
_EMPTY_TAG = re.compile(rb"""<((?:"[^"]*"|'[^']*'|[^<>"'])*?)/>""")


@dataclass(frozen=True)
class Statement:
    """What is to be said of a picture.

    Attributes:
        namespace: URI of the properties; it names nothing that can be fetched.
        prefix: what stands for it.
        name: the property; an ordered list, so that a picture that was changed twice says both.
        fields: of the new entry, name to text.
        sentence: for people; becomes the description of a picture that has none.
        tool: becomes the creator tool of a picture that has none.
    """

    namespace: str
    prefix: str
    name: str
    fields: Mapping[str, str]
    sentence: str
    tool: str


def add_statement(photo: Photo, statement: Statement, path: str | Path) -> tuple[Photo, str | None]:
    """`photo` with `statement`, to be written to `path`; and a remark, when it has another place than XMP or none.

    Pixels are the same object. Of the metadata that are there nothing is replaced.
    """
    format_ = FORMAT_OF_SUFFIX.get(suffix_of(path))
    if format_ is None:  # writing will say so
        return photo, None
    if not format_.metadata:
        return photo, f"{format_.name} has no place for metadata: how it was made is not in the picture"
    room = _JPEG_ROOM if format_.name == "JPEG" else None
    earlier = _commented(photo, statement.namespace)
    if not earlier:  # else the order of the entries would be lost
        xmp = with_statement(photo.extras.get("xmp"), statement, sentence=not _described(photo), tool=not _made(photo))
        if xmp is not None and (room is None or len(xmp) <= room):
            return replace(photo, extras={**photo.extras, "xmp": xmp}), None
    entries = [*earlier, dict(statement.fields)]
    comment = _ASCII + json.dumps({statement.namespace: entries}).encode("ascii")
    foreign = user_comment(photo.exif) if not earlier else None
    exif = None if foreign and foreign[8:].strip(b" \0") else with_user_comment(photo.exif, comment)
    if exif is None or (room is not None and len(exif) > room):
        return photo, "its XMP cannot be added to, nor its EXIF: how it was made is not in the picture"
    return replace(photo, exif=exif), "its XMP cannot be added to: how it was made stands in EXIF, UserComment"


def read_statements(photo: Photo, namespace: str, name: str) -> list[dict[str, str]]:
    """All entries of the property `name`, in the order in which they were added; none where it cannot be read."""
    packet = photo.extras.get("xmp")
    scan = None if packet is None else _scan(packet, namespace, name)
    return [*(scan.entries if scan else ()), *_commented(photo, namespace)]


def with_statement(packet: bytes | None, statement: Statement, *, sentence: bool, tool: bool) -> bytes | None:
    """The XMP packet with one more entry; None when `packet` cannot be read, is not XMP or declares a document type.

    Args:
        packet: a packet; None makes a new one.
        statement: what to add.
        sentence: also as dc:description, unless there is one.
        tool: also as xmp:CreatorTool, unless there is one.
    """
    item = _item(statement)
    if packet is None:
        own = _description("", _property(statement, item), statement, sentence, tool)
        return _HEAD + b'<rdf:RDF xmlns:rdf="%b">\n' % RDF.encode() + own + b"\n</rdf:RDF>" + _TAIL
    scan = _scan(packet, statement.namespace, statement.name)
    if scan is None or scan.rdf_end is None:
        return None
    sentence = sentence and f"{DC} description" not in scan.properties
    tool = tool and f"{XMP} CreatorTool" not in scan.properties
    body = b"" if scan.list_end is not None else _property(statement, item)
    added = packet
    if body or sentence or tool:  # behind the list, hence first: positions before it stay true
        added = _insert(added, scan.rdf_end, _description(scan.about, body, statement, sentence, tool) + b"\n")
    if scan.list_end is not None:
        added = _insert(added, scan.list_end, item)
    again = _scan(added, statement.namespace, statement.name)
    whole = again is not None and again.entries == [*scan.entries, dict(statement.fields)]
    return added if whole else None


def _described(photo: Photo) -> bool:
    """Whether a description stands where XMP's would hide it."""
    texts = photo.extras.get("png_chunks", ())
    in_text = any(kind in (b"tEXt", b"zTXt", b"iTXt") and body.startswith(b"Description\0") for kind, body in texts)
    return in_text or "photoshop" in photo.extras or has_text(photo.exif, IMAGE_DESCRIPTION)


def _made(photo: Photo) -> bool:
    return has_text(photo.exif, SOFTWARE)


def _commented(photo: Photo, namespace: str) -> list[dict[str, str]]:
    """The entries that stand in the UserComment of EXIF."""
    comment = user_comment(photo.exif) or b""
    if not comment.startswith(_ASCII):
        return []
    try:
        found = json.loads(comment.removeprefix(_ASCII))
    except (ValueError, RecursionError):  # somebody's own words
        return []
    entries = found.get(namespace) if isinstance(found, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return []
    return [{str(key): value for key, value in entry.items() if isinstance(value, str)} for entry in entries]


def _text(value: str) -> bytes:
    """Of ASCII alone, so that it fits into a packet of any encoding that begins with it."""
    return escape(value, {'"': "&quot;"}).encode("ascii", "xmlcharrefreplace")


def _item(statement: Statement) -> bytes:
    prefix = statement.prefix.encode()
    lines = [
        b"<%b:%b>%b</%b:%b>" % (prefix, k.encode(), _text(v), prefix, k.encode()) for k, v in statement.fields.items()
    ]
    spaces = b'xmlns:rdf="%b" xmlns:%b="%b"' % (RDF.encode(), prefix, _text(statement.namespace))
    return b'<rdf:li %b rdf:parseType="Resource">\n%b\n</rdf:li>\n' % (spaces, b"\n".join(lines))


def _property(statement: Statement, item: bytes) -> bytes:
    name = f"{statement.prefix}:{statement.name}".encode()
    space = b'xmlns:%b="%b"' % (statement.prefix.encode(), _text(statement.namespace))
    return b"<%b %b><rdf:Seq>\n%b</rdf:Seq></%b>\n" % (name, space, item, name)


def _description(about: str, body: bytes, statement: Statement, sentence: bool, tool: bool) -> bytes:
    if sentence:
        words = b'<rdf:Alt><rdf:li xml:lang="x-default">%b</rdf:li></rdf:Alt>' % _text(statement.sentence)
        body += b'<dc:description xmlns:dc="%b">%b</dc:description>\n' % (DC.encode(), words)
    if tool:
        body += b'<xmp:CreatorTool xmlns:xmp="%b">%b</xmp:CreatorTool>\n' % (XMP.encode(), _text(statement.tool))
    head = b'<rdf:Description xmlns:rdf="%b" rdf:about="%b">\n' % (RDF.encode(), _text(about))
    return head + body + b"</rdf:Description>"


def _insert(packet: bytes, at: int, piece: bytes) -> bytes:
    """`piece` before the end tag at `at`; an element without content, which stands there instead, is opened."""
    if packet.startswith(b"</", at):
        return packet[:at] + piece + packet[at:]
    empty = _EMPTY_TAG.match(packet, at)
    if empty is None:
        return packet
    name = empty[1].split(None, 1)[0]
    return packet[:at] + b"<%b>%b</%b>" % (empty[1], piece, name) + packet[empty.end() :]


class _NotXMP(Exception):
    """It declares a document type, with which entities would come."""


@dataclass
class _Scan:
    """What a packet holds, and where: positions in its bytes of end tags, or of the whole tag of an empty element."""

    namespace: str
    name: str
    about: str = ""
    rdf_end: int | None = None
    list_end: int | None = None
    properties: set[str] = field(default_factory=set)
    entries: list[dict[str, str]] = field(default_factory=list)
    path: list[str] = field(default_factory=list)  # names from rdf:RDF on
    starts: list[int] = field(default_factory=list)
    text: list[str] | None = None

    def start(self, name: str, attributes: Mapping[str, str], at: int) -> None:
        if not self.path and (name != f"{RDF} RDF" or self.rdf_end is not None):
            return  # around rdf:RDF
        self.path.append(name)
        self.starts.append(at)
        if len(self.path) == 2 and name == f"{RDF} Description":
            self.about = self.about or attributes.get(f"{RDF} about", attributes.get("about", ""))
            self.properties.update(attributes)
        elif len(self.path) == 3:
            self.properties.add(name)
        elif self._in_list() and len(self.path) == 5:
            self.entries.append({})
        if self._in_list() and self._of_entry(self.path):
            self.entries[-1].update({k.partition(" ")[2]: v for k, v in attributes.items() if self._mine(k)})
        elif self._in_list() and self._of_entry(self.path[:-1]) and self._mine(name):
            self.text = []

    def characters(self, text: str) -> None:
        if self.text is not None:
            self.text.append(text)

    def end(self, name: str, at: int, packet: bytes) -> None:
        if not self.path:
            return
        start = self.starts.pop()
        at = start if len(self.path) in (1, 4) and _EMPTY_TAG.match(packet, start) else at
        if self.text is not None and self._of_entry(self.path[:-1]):
            self.entries[-1][name.partition(" ")[2]] = "".join(self.text)
            self.text = None
        if self._in_list() and len(self.path) == 4:
            self.list_end = at
        self.path.pop()
        if not self.path:
            self.rdf_end = at

    def _in_list(self) -> bool:
        return self.path[2:4] == [f"{self.namespace} {self.name}", f"{RDF} Seq"]

    def _of_entry(self, path: Sequence[str]) -> bool:
        """An entry itself, or the node that some writers put in it."""
        return len(path) == 5 or (len(path) == 6 and path[5] == f"{RDF} Description")

    def _mine(self, name: str) -> bool:
        return name.startswith(f"{self.namespace} ")


def _scan(packet: bytes, namespace: str, name: str) -> _Scan | None:
    """None for what is no XML, has a document type (so no entity is ever resolved) or is not of 8-bit code units."""
    scan = _Scan(namespace, name)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)

    def refuse(*_: Any) -> None:
        raise _NotXMP

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda element, given: scan.start(element, given, parser.CurrentByteIndex)
    parser.CharacterDataHandler = scan.characters
    parser.EndElementHandler = lambda element: scan.end(element, parser.CurrentByteIndex, packet)
    if b"\0" in packet.rstrip(b"\0"):  # UTF-16 or -32
        return None
    try:
        parser.Parse(packet.rstrip(b"\0"), True)
    except (expat.ExpatError, _NotXMP, LookupError, ValueError):  # the last two: of an encoding that Python has not
        return None
    return scan
