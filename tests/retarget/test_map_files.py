"""Skeleton map files: against the schema, round trips, and faults that name the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blender_addon.motion.body import SKELETON_MAPS_DIR, canonical_body
from blender_addon.retarget.map_files import (
    MapFileError,
    family_map,
    map_from_record,
    map_to_record,
    read_map,
    rig_families,
    share_spine,
    write_map,
)

FAMILIES = {family.family: family for family in rig_families()}
REQUIRED = {
    "rigify_metarig", "rigify_generated", "mixamo", "unreal", "vrm", "makehuman_default", "auto_rig_pro",
    "character_creator", "daz_genesis8", "daz_genesis9", "rokoko", "cmu_motionbuilder", "bvh_daz", "smpl", "cascadeur",
}  # fmt: skip


def test_all_families_ship():
    assert set(FAMILIES) >= REQUIRED


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_fits_the_schema(family):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((SKELETON_MAPS_DIR / "skeleton_map.schema.json").read_text(encoding="utf-8"))
    record = json.loads((SKELETON_MAPS_DIR / f"{family}.json").read_text(encoding="utf-8"))
    jsonschema.validate(record, schema)
    jsonschema.validate(map_to_record(family_map(FAMILIES[family], lambda name: name)), schema)
    assert record["family"] == family


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_has_every_limb_and_no_bone_twice(family):
    skeleton_map = family_map(FAMILIES[family], lambda name: name)
    bones = skeleton_map.bones()
    assert len(set(bones)) == len(bones)
    optional = {"left_hand", "right_hand", "upper_chest"}
    assert set(skeleton_map.joints) >= set(canonical_body().joint_names) - optional


def test_a_saved_map_reads_back_the_same(tmp_path):
    for family in FAMILIES.values():
        skeleton_map = family_map(family, lambda name: name)
        write_map(skeleton_map, tmp_path / "map.json")
        assert read_map(tmp_path / "map.json") == skeleton_map


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "not a skeleton map"),
        ("[]", "no JSON object"),
        ('{"version": 9, "family": "x", "label": "x", "joints": {}}', "version 9"),
        ('{"version": 1, "family": "x", "label": "x"}', "joints"),
        ('{"version": 1, "family": "x", "label": "x", "joints": {"tail": ["t"]}}', "unknown joint 'tail'"),
        ('{"version": 1, "family": "x", "label": "x", "joints": {"head": "Head"}}', "list of bone names"),
        (
            '{"version": 1, "family": "x", "label": "x", "joints": {}, "limbs": {"tail": {"target": "t"}}}',
            "limb 'tail'",
        ),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, message):
    path = Path(tmp_path / "broken.json")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MapFileError, match=message) as caught:
        read_map(path)
    assert "broken.json" in str(caught.value)


@pytest.mark.parametrize("count", range(1, 8))
def test_any_number_of_spine_bones_is_dealt_out_in_order(count):
    bones = tuple(f"spine{number}" for number in range(count))
    shared = share_spine(bones)
    assert tuple(bone for joint in shared.values() for bone in joint) == bones
    assert all(shared.values())


def test_a_record_survives_json():
    for family in FAMILIES.values():
        record = map_to_record(family_map(family, lambda name: name))
        again = map_from_record(json.loads(json.dumps(record)), "memory")
        assert map_to_record(again) == record
