"""docs/wire_protocol.md is the authority: its tables and the code are compared in both directions."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import pytest

from blender_addon.wire import codec, schema, transport
from blender_addon.wire import messages as wire
from blender_addon.wire.connection_file import FORMAT_VERSION, ConnectionInfo

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "wire_protocol.md").read_text(encoding="utf-8")
PARTS = (
    *(wire.Source, wire.CameraInfo, wire.SolveOptions, wire.VideoOffset, wire.CalibrationFile, wire.TakeOptions),
    *(wire.ResultFile, wire.Worker, wire.JobInfo),
)
NAMES = {"str": "text", "int": "integer", "float": "number", "bool": "truth value"}


def section(title: str, level: int) -> str:
    """The text under a heading, up to the next of the same or a higher level."""
    mark = "#" * level
    match = re.search(rf"^{mark} {re.escape(title)}\n(.*?)(?=^#{{1,{level}}} |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert match is not None, f"the page has no section {title}"
    return match[1]


def rows(text: str) -> list[list[str]]:
    """The cells of a section's first table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def codes(title: str) -> set[str]:
    return {row[0].strip("`") for row in rows(section(title, 2))}


def type_of(item: Field[Any]) -> str:
    """How the page writes a field's type."""
    if "array" in item.metadata:
        spec = item.metadata["array"]
        return f"{spec.dtype} ({', '.join(map(str, spec.shape))})"
    text = str(item.type)
    plain, null = text.removesuffix(" | None"), " or null" if text.endswith(" | None") else ""
    if match := re.fullmatch(r"tuple\[(\w+), \.\.\.\]", plain):
        return "list of " + (NAMES.get(match[1]) or f"`{match[1]}`")
    if match := re.fullmatch(r"dict\[str, (\w+)\]", plain):
        return f"{NAMES[match[1]]}s by name"
    return (NAMES.get(plain) or f"`{plain}`") + null


def default_of(item: Field[Any]) -> str:
    if item.default is MISSING:
        return "required" if item.default_factory is MISSING else "empty"
    if item.default is None:
        return "null"
    if item.default == ():
        return "empty"
    if isinstance(item.default, str):
        return f"`{item.default}`" if item.default else '`""`'
    return f"`{item.default}`" if isinstance(item.default, int | float) else "defaults"


def unit_of(item: Field[Any]) -> str:
    spec = item.metadata.get("array")
    return spec.unit if spec is not None else item.metadata.get("unit", "")


def described(message: type[Any]) -> list[list[str]]:
    return [[f"`{item.name}`", type_of(item), unit_of(item), default_of(item)] for item in fields(message)]


@pytest.mark.parametrize(
    "message", [*wire.CLIENT_MESSAGES, *wire.SERVER_MESSAGES, *PARTS], ids=lambda item: item.__name__
)
def test_fields_are_as_the_page_says(message: type[Any]) -> None:
    name = message.__name__ if message in PARTS else message.kind
    table = rows(section(f"`{name}`", 3))
    assert [row[:4] for row in table] == described(message)
    assert all(row[4] for row in table), "every field has a meaning"


@pytest.mark.parametrize(
    ("title", "messages"),
    [("Messages from the client", wire.CLIENT_MESSAGES), ("Messages from the server", wire.SERVER_MESSAGES)],
)
def test_page_has_these_messages_and_no_others(title: str, messages: tuple[type[Any], ...]) -> None:
    headings = re.findall(r"^### `(\w+)`$", section(title, 2), re.MULTILINE)
    assert headings == [message.kind for message in messages]


def test_parts_are_all_there() -> None:
    headings = re.findall(r"^### `(\w+)`$", section("Parts of messages", 2), re.MULTILINE)
    assert headings == [part.__name__ for part in PARTS]


def test_version_and_limits() -> None:
    assert f"Version {wire.PROTOCOL_MAJOR}.{wire.PROTOCOL_MINOR}." in PAGE
    frames = section("Frames", 2)
    assert f"2 to {codec.MAX_FRAMES} frames" in frames
    assert f"at most {codec.MAX_HEADER_BYTES} bytes" in frames
    assert f"at most {codec.MAX_BUFFER_BYTES} bytes" in frames
    assert f"at most {codec.MAX_ID_CHARS} ASCII" in frames
    assert f"at most {schema.MAX_TEXT_CHARS} characters" in frames
    assert f"at most {schema.MAX_ITEMS} entries" in frames
    assert schema.MAX_INT == 1 << 53
    assert codec.MAGIC.decode() in frames
    connection = section("Connection", 2)
    assert f"every {transport.KEEP_ALIVE_S:g} seconds" in connection
    assert f"silent for {transport.SESSION_LIFETIME_S:g} seconds" in connection
    assert transport.MAX_PART_BYTES == 1 << 20


def test_connection_file_keys() -> None:
    table = [row[0].strip("`") for row in rows(section("Connection", 2))]
    assert table == ["format", "version", *(item.name for item in fields(ConnectionInfo))]
    assert FORMAT_VERSION == 1


def test_refusal_and_failure_codes() -> None:
    """Every code in the server's source is on the page, and the page has no others."""
    source = "\n".join(path.read_text() for path in (REPOSITORY / "backend" / "server").glob("*.py"))
    errors = (REPOSITORY / "blender_addon" / "wire" / "errors.py").read_text()
    refusals = set(re.findall(r"RequestRefused\(\s*\"(\w+)\"", source)) | set(
        re.findall(r"^    code = \"(\w+)\"", errors, re.M)
    )
    assert refusals == codes("Refusals")
    ends = set(re.findall(r"\.end\(\s*job,\s*\"failed\",\s*\"(\w+)\"", source)) | {"internal", "memory", "no_worker"}
    assert ends - {"output"} == codes("Failures")
    for code in re.findall(r"ledger\.add\(\"(\w+)\"", source):
        assert f"`{code}`" in section("Refusals", 2)
