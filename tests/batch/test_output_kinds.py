"""The kinds of output that batch conversion offers are those that the table of export formats says it offers."""

from __future__ import annotations

import pytest

from backend.batch.tasks import OutputKind
from blender_addon.motion.export_formats import (
    DEFAULT_FORMAT,
    EXPORT_FORMATS,
    ExportFormat,
    all_endings,
    format_named,
    format_of_ending,
)


def test_every_format_of_the_table_that_says_so_is_offered_by_batch() -> None:
    offered = [kind.value for kind in OutputKind if format_named(kind.value)]
    assert offered == [one.name for one in EXPORT_FORMATS if one.in_batch]


@pytest.mark.parametrize("kind", [kind for kind in OutputKind if format_named(kind.value)])
def test_the_ending_of_an_output_means_its_format(kind: OutputKind) -> None:
    assert format_of_ending(kind.ending) == format_named(kind.value)
    assert kind.needs_blender
    assert kind.for_each_person
    assert kind.label == kind.value.upper()


@pytest.mark.parametrize("kind", [OutputKind.CLIP, OutputKind.OVERLAY, OutputKind.SHEET])
def test_what_blender_does_not_make_has_no_format(kind: OutputKind) -> None:
    assert not kind.needs_blender
    assert format_of_ending(kind.ending) is None


def test_endings_and_names_are_not_ambiguous() -> None:
    assert len(set(all_endings())) == len(all_endings())
    assert len({one.name for one in EXPORT_FORMATS}) == len(EXPORT_FORMATS)
    assert format_of_ending(".USDA") == format_named("usd")
    assert isinstance(format_named(DEFAULT_FORMAT), ExportFormat)
