"""Words on the command line, folders, patterns and manifests become orders; what cannot be read says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from backend.batch.inputs import collect
from backend.batch.manifest import COLUMNS, parse_kinds
from backend.batch.tasks import AnimateSettings, ClipTask, OutputKind, SolveSettings
from backend.errors import BadInputError

TEMPLATE = ClipTask("", kinds=(OutputKind.FBX,), solve=SolveSettings(quality="fast"))


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """A shoot as they come: days, hidden files, notes, a folder of images, results in the middle of it."""
    names = ("day1/a.mp4", "day1/b.MOV", "day2/a.mp4", "day2/._a.mp4", ".trash/x.mp4", "notes.txt", "out/a.overlay.mp4")
    for name in (*names, "shot/0001.png", "shot/0002.png", "day1/cover.jpg", "solved.npz"):
        path = tmp_path / "shoot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "shoot"


def found(words: list[object], out: Path, below: Path) -> dict[str, str]:
    """Source -> folder field, both relative."""
    orders = collect([str(word) for word in words], TEMPLATE, str(out))
    assert all(order.trouble is None for order in orders)
    return {Path(order.source).relative_to(below).as_posix(): order.folder for order in orders}


def test_a_folder_gives_videos_solved_clips_and_image_folders_but_not_results(shoot: Path) -> None:
    assert found([shoot], shoot / "out", shoot) == {
        "day1/a.mp4": "day1",
        "day1/b.MOV": "day1",
        "day2/a.mp4": "day2",
        "solved.npz": "",
        "shot": "",
    }


def test_a_pattern_keeps_the_folders_below_its_fixed_part(shoot: Path) -> None:
    assert found([shoot / "*" / "a.mp4"], shoot / "out", shoot) == {"day1/a.mp4": "day1", "day2/a.mp4": "day2"}
    assert found([shoot / "**" / "*.MOV"], shoot / "out", shoot) == {"day1/b.MOV": "day1"}


def test_a_pattern_of_images_is_one_clip(shoot: Path) -> None:
    assert list(found([shoot / "shot" / "*.png"], shoot / "out", shoot)) == ["shot/*.png"]


def test_a_clip_that_is_named_twice_is_done_once(shoot: Path) -> None:
    assert len(found([shoot / "day1", shoot / "day1"], shoot / "out", shoot)) == 2


def test_what_names_nothing_becomes_a_clip_with_trouble_beside_the_others(shoot: Path) -> None:
    orders = collect([str(shoot / "*.avi"), str(shoot / "day2")], TEMPLATE, str(shoot / "out"))
    assert [order.trouble is not None for order in orders] == [True, False]
    assert orders[0].trouble is not None
    assert "*.avi" in orders[0].trouble.message


def test_a_csv_manifest_as_a_spreadsheet_writes_it(shoot: Path) -> None:
    (shoot / "takes.csv").write_text(
        "\ufeffClip;Range;Person;Rig;Height;Formats;in-place\r\n"
        "day1/a.mp4;0:50;all;rigs/hero.blend;1.82;bvh,glb;yes\r\n"
        "day2/a.mp4;;;;;;\r\n"
        ";;;;;;\r\n",
        encoding="utf-8",
    )
    first, second = collect([str(shoot / "takes.csv")], TEMPLATE, str(shoot / "out"))
    assert first == ClipTask(
        source=str(shoot / "day1/a.mp4"),
        kinds=(OutputKind.BVH, OutputKind.GLB),
        solve=SolveSettings(quality="fast", range="0:50", person="all", height_m=1.82),
        animate=AnimateSettings(rig=str(shoot / "rigs/hero.blend"), in_place=True),
    )
    assert (second.kinds, second.solve, second.animate) == (TEMPLATE.kinds, TEMPLATE.solve, TEMPLATE.animate)


def test_a_json_manifest_with_names_and_objects(shoot: Path) -> None:
    record = {
        "clips": [
            "day1/a.mp4",
            {
                "clip": "day2/a.mp4",
                "format": ["fbx", "overlay"],
                "fov": 69,
                "ground": True,
                "straighten": 12,
                "loop": "find",
                "mirror": "yes",
            },
        ]
    }
    (shoot / "takes.json").write_text(json.dumps(record))
    first, second = collect([str(shoot / "takes.json")], TEMPLATE, str(shoot / "out"))
    assert first.source == str(shoot / "day1/a.mp4")
    assert second.kinds == (OutputKind.FBX, OutputKind.OVERLAY)
    assert second.solve.fov_deg == 69.0
    assert second.animate.ground
    assert second.animate.straighten_deg == 12.0
    assert (second.animate.loop, second.animate.mirror) == ("find", True)


def test_a_bad_row_fails_alone(shoot: Path) -> None:
    (shoot / "takes.csv").write_text(
        "clip,height,straighten\nday1/a.mp4,tall,\nday2/a.mp4,1.8,\n,1.9,\nday1/a.mp4,,90\n"
    )
    tall, good, nameless, far = collect([str(shoot / "takes.csv")], TEMPLATE, str(shoot / "out"))
    assert tall.trouble is not None
    assert "'tall' is not a valid value for height_m" in tall.trouble.message
    assert good.trouble is None
    assert nameless.trouble is not None
    assert "has no clip" in nameless.trouble.message
    assert far.trouble is not None
    assert "'90' is not a valid value for straighten_deg" in far.trouble.message


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "clip,hight\na.mp4,1.8\n", "unknown column 'hight'"),
        ("a.csv", "clip\n", "has no rows"),
        ("a.csv", "clip\na.mp4,1,2\n", "more cells"),
        ("a.json", "{", "cannot be read"),
        ("a.json", '{"takes": []}', "no list"),
        ("a.json", "[1]", "no list"),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInputError, match=message):
        collect([str(tmp_path / name)], TEMPLATE, str(tmp_path / "out"))


def test_the_guide_names_every_column(repository: Path) -> None:
    page = (repository / "docs/how_to/batch.md").read_text()
    assert [column for column in COLUMNS if f"`{column}`" not in page] == []


def test_formats() -> None:
    assert parse_kinds("fbx, .BVH;clip,fbx") == (OutputKind.FBX, OutputKind.BVH, OutputKind.CLIP)
    assert parse_kinds("all") == tuple(OutputKind)
    for text in ("", "fbx,dae"):
        with pytest.raises(BadInputError):
            parse_kinds(text)


def test_the_output_folder_itself_is_no_input(shoot: Path) -> None:
    shutil.rmtree(shoot / "day1")
    assert "out/a.overlay.mp4" not in found([shoot], shoot / "out", shoot)
