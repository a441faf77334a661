"""Names that stay inside the folder and apart from each other; keys that change with what a result depends on."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from backend.batch import planning
from backend.batch.planning import check_template, name_clips, with_keys
from backend.batch.tasks import AnimateSettings, ClipTask, OutputKind, PlannedClip, SolveSettings
from backend.errors import BadInputError, VideoError

ORDER = ClipTask("/shoot/day1/dance.mp4", folder="day1", kinds=(OutputKind.FBX,))


def bases(orders: list[ClipTask], template: str = "") -> list[str]:
    return [clip.base for clip in name_clips(orders, template)]


def test_the_default_keeps_the_shoots_folders() -> None:
    assert bases([ORDER, replace(ORDER, source="/shoot/a.mp4", folder="")]) == ["day1/dance/dance", "a/a"]


def test_takes_of_one_clip_are_told_apart_by_what_differs() -> None:
    takes = [replace(ORDER, solve=SolveSettings(range=span)) for span in ("0:50", "2.5s:8s", "")]
    assert bases(takes) == ["day1/dance/dance_0_50", "day1/dance/dance_2.5s_8s", "day1/dance/dance_all"]
    rigs = [replace(ORDER, animate=AnimateSettings(rig=f"/rigs/{rig}.blend")) for rig in ("hero", "villain")]
    assert bases(rigs) == ["day1/dance/dance_hero", "day1/dance/dance_villain"]


def test_two_clips_of_one_name_do_not_write_over_each_other() -> None:
    clips = name_clips([ORDER, replace(ORDER, source="/shoot/day1/Dance.mov")])
    assert [clip.order.trouble is None for clip in clips] == [True, False]
    assert len({clip.base for clip in clips}) == 2


def test_a_template_with_all_fields() -> None:
    order = replace(ORDER, animate=AnimateSettings(rig="/r/hero.blend"), solve=SolveSettings(range="1:9", person="2"))
    named = bases([order], "{index}-{folder}-{clip}-{rig}-{range}-{person}-{quality}")
    assert named == ["0001-day1-dance-hero-1_9-2-best"]


@pytest.mark.parametrize("template", ["../{clip}", "/etc/{clip}", "..\\..\\{clip}", "a/../../{clip}", ".batch/{clip}"])
def test_no_name_leads_out_of_the_folder_or_into_the_batchs_own(template: str) -> None:
    (base,) = bases([ORDER], template)
    assert not {"..", ".batch", ""} & set(base.split("/"))


@pytest.mark.parametrize("template", ["{klip}", "{clip", "{0}", "{clip.__class__}"])
def test_a_template_that_cannot_be_is_refused(template: str) -> None:
    with pytest.raises(BadInputError):
        check_template(template)


def test_people_have_numbers_only_where_there_are_several() -> None:
    clip = PlannedClip(ORDER, "day1/dance")
    assert clip.output_name(OutputKind.FBX, 0, 1) == "day1/dance.fbx"
    assert clip.output_name(OutputKind.CLIP, 1, 2) == "day1/dance.1.npz"
    assert clip.output_name(OutputKind.OVERLAY, 0, 2) == "day1/dance.overlay.mp4"


@pytest.fixture
def keyed(tmp_path: Path) -> PlannedClip:
    video, rig = tmp_path / "a.mp4", tmp_path / "hero.blend"
    video.write_bytes(b"video")
    rig.write_bytes(b"rig")
    order = replace(ORDER, source=str(video), animate=AnimateSettings(rig=str(rig)))
    return with_keys(PlannedClip(order, "a/a"))


def changed(clip: PlannedClip, **changes: object) -> tuple[bool, bool]:
    """Whether the solve's key and the whole key change with an order's field."""
    other = with_keys(replace(clip, order=replace(clip.order, **changes)))
    return other.solve_key != clip.solve_key, other.key != clip.key


def test_a_key_follows_content_and_options(keyed: PlannedClip, monkeypatch: pytest.MonkeyPatch) -> None:
    order = keyed.order
    assert changed(keyed) == (False, False)
    assert changed(keyed, solve=replace(order.solve, quality="fast")) == (True, True)
    assert changed(keyed, animate=replace(order.animate, smooth="heavy")) == (False, True)
    assert changed(keyed, kinds=(OutputKind.BVH,)) == (False, True)
    Path(order.animate.rig).write_bytes(b"another rig")
    assert changed(keyed) == (False, True)
    Path(order.source).write_bytes(b"another video")
    assert changed(keyed) == (True, True)
    Path(order.source).write_bytes(b"video")
    monkeypatch.setattr(planning, "weights_digest", lambda: "other weights")
    assert changed(keyed) == (True, True)


def test_a_renamed_or_touched_file_has_the_same_key(keyed: PlannedClip, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "b.mp4"
    moved.parent.mkdir()
    Path(keyed.order.source).rename(moved)
    assert with_keys(replace(keyed, order=replace(keyed.order, source=str(moved)))).key == keyed.key


def test_what_needs_no_rig_does_not_depend_on_it(keyed: PlannedClip) -> None:
    clip = with_keys(replace(keyed, order=replace(keyed.order, kinds=(OutputKind.CLIP,))))
    assert changed(clip, animate=AnimateSettings()) == (False, False)


def test_what_is_missing_is_named(keyed: PlannedClip) -> None:
    with pytest.raises(BadInputError, match="no rig"):
        changed(keyed, animate=AnimateSettings(rig="/nowhere/hero.blend"))
    with pytest.raises(VideoError, match="no file"):
        changed(keyed, source="/nowhere/a.mp4")


def test_a_key_follows_the_model_that_is_named(keyed: PlannedClip, tmp_path: Path) -> None:
    towers, large = tmp_path / "towers.safetensors", tmp_path / "bank10m"
    towers.write_bytes(b"towers")
    large.mkdir()
    (large / "bank.json").write_text("{}")
    solve = replace(keyed.order.solve, towers=str(towers), bank=str(large))
    named = with_keys(replace(keyed, order=replace(keyed.order, solve=solve)))
    assert named.solve_key != keyed.solve_key
    assert changed(named) == (False, False)
    towers.write_bytes(b"trained on")
    assert changed(named) == (True, True)
    towers.write_bytes(b"towers")
    os.utime(large / "bank.json", ns=(0, 0))  # built again
    assert changed(named) == (True, True)
    with pytest.raises(BadInputError, match="no bank"):
        changed(named, solve=replace(solve, bank=str(tmp_path / "nowhere")))
