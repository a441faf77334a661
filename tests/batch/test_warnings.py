"""What a clip's warnings do on the index page depends on their codes, not on how they are worded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.batch.html_report import needs_review
from backend.batch.records import DONE, ClipRecord, RecordStore
from backend.batch.report_writer import report_entry
from backend.batch.storage import open_storage
from blender_addon.motion.clip_warning import ClipWarning, WarningCode


def record(*warnings: ClipWarning) -> ClipRecord:
    return ClipRecord("take.mp4", "take", "key", DONE, warnings=warnings)


@pytest.mark.parametrize("text", ["Kamera unbekannt", "the camera is not known (assumed ...)", ""])
@pytest.mark.parametrize("code", list(WarningCode))
def test_only_an_assumed_camera_is_too_common_for_a_review(code: WarningCode, text: str) -> None:
    assert needs_review(record(ClipWarning(code, text))) is (code is not WarningCode.CAMERA_ASSUMED)


def test_records_keep_codes_and_report_tells_them(tmp_path: Path) -> None:
    book = RecordStore(open_storage(str(tmp_path)))
    kept = record(ClipWarning(WarningCode.CUTS, "2 cuts"), ClipWarning(WarningCode.CAMERA_ASSUMED, "which lens?"))
    book.write(kept)
    assert book.read("take") == kept
    told = report_entry(kept, open_storage(str(tmp_path)))
    assert told["warnings"] == ["2 cuts", "which lens?"]
    assert told["warning_codes"] == ["cuts", "camera_assumed"]


def test_records_of_earlier_versions_are_read(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    RecordStore(storage).write(record())
    path = next(path for path in tmp_path.rglob("*") if path.is_file())
    old = json.loads(path.read_text())
    del old["warning_codes"]
    old["warnings"] = [
        "the camera is not known (assumed field of view of 60 degrees): distances may be off; give --fov"
    ]
    path.write_text(json.dumps(old))
    found = RecordStore(storage).read("take")
    assert found is not None
    assert found.warnings[0].code is WarningCode.CAMERA_ASSUMED
    assert not needs_review(found)
