"""Blender's half of `tools/build_demo_character.py`: the .blend with armature, mesh and materials, and an image.

Run by a Python that has bpy: `python tools/demo_character_blender.py MESH.npz OUT.blend [IMAGE.png]`.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Euler

# below the first height a shoe moves with the foot alone, above the second the shin has its share
_SOLE_M, _SHAFT_M = 0.055, 0.1


def main(mesh_file: str, output: str, image: str | None = None) -> None:
    """Build the file and save it; with `image`, pose the arms down and render."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with np.load(mesh_file, allow_pickle=False) as data:
        record = {name: data[name] for name in data.files}
    armature = make_armature(record)
    body = make_body(record)
    body.parent = armature
    modifier = body.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature
    bpy.context.scene.unit_settings.length_unit = "METERS"
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(output).resolve()), compress=True)
    if image:
        render(armature, Path(image).resolve())


def make_armature(record: dict[str, Any]) -> Any:
    """An armature at the origin in the T-pose; bones point from head to tail."""
    data = bpy.data.armatures.new("Armature")
    armature = bpy.data.objects.new("Armature", data)
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for name, head, tail in zip(record["bone_names"], record["bone_heads_m"], record["bone_tails_m"], strict=True):
        bone = data.edit_bones.new(str(name))
        bone.head, bone.tail = head, tail
        # bones that run up or down get their Z toward the back, the others theirs upward: a limb bends about its X
        bone.align_roll((0.0, 1.0, 0.0) if abs(bone.vector.normalized().z) > 0.7 else (0.0, 0.0, 1.0))
    for name, parent in zip(record["bone_names"], record["bone_parents"], strict=True):
        if parent:
            data.edit_bones[str(name)].parent = data.edit_bones[str(parent)]
    bpy.ops.object.mode_set(mode="OBJECT")
    data.display_type = "STICK"
    return armature


def make_body(record: dict[str, Any]) -> Any:
    """One mesh of all pieces, a material each, weighted by vertex groups named after the bones."""
    count = len(record["piece_names"])
    starts = np.cumsum([0] + [len(record[f"vertices_{i}"]) for i in range(count)])
    faces = np.concatenate([record[f"faces_{i}"] + starts[i] for i in range(count)])
    mesh = bpy.data.meshes.new("Character")
    mesh.from_pydata(np.concatenate([record[f"vertices_{i}"] for i in range(count)]).tolist(), [], faces.tolist())
    layer = mesh.uv_layers.new(name="UVMap")
    uv = np.concatenate([record[f"uv_{i}"] for i in range(count)]).astype(np.float32)
    layer.data.foreach_set("uv", uv.ravel())
    owner = np.repeat(np.arange(count, dtype=np.int32), [len(record[f"faces_{i}"]) for i in range(count)])
    mesh.polygons.foreach_set("material_index", owner)
    mesh.polygons.foreach_set("use_smooth", np.ones(len(owner), dtype=bool))
    for name, texture in zip(record["piece_names"], record["piece_textures"], strict=True):
        mesh.materials.append(make_material(str(name), str(texture)))
    mesh.update()
    body = bpy.data.objects.new("Character", mesh)
    bpy.context.scene.collection.objects.link(body)
    weights = np.concatenate([record[f"weights_{i}"] for i in range(count)])
    for column, name in enumerate(record["bone_names"]):
        used = np.flatnonzero(weights[:, column] > 1e-3)
        if len(used):
            group = body.vertex_groups.new(name=str(name))
            for vertex in used:
                group.add([int(vertex)], float(weights[vertex, column]), "REPLACE")
    firm_soles(body)
    return body


def firm_soles(body: Any) -> None:
    """Give the shins' weights on the shoes to the feet, in place: leaning shins would press soles into the floor."""
    for side in ("Left", "Right"):
        shin, foot = (body.vertex_groups[f"mixamorig:{side}{bone}"] for bone in ("Leg", "Foot"))
        for vertex in body.data.vertices:
            share = min(max((_SHAFT_M - vertex.co.z) / (_SHAFT_M - _SOLE_M), 0.0), 1.0)
            held = {group.group: group.weight for group in vertex.groups}
            if share > 0.0 and held.get(shin.index, 0.0) > 0.0:
                moved = share * held[shin.index]
                shin.add([vertex.index], held[shin.index] - moved, "REPLACE")
                foot.add([vertex.index], held.get(foot.index, 0.0) + moved, "REPLACE")


def make_material(name: str, texture: str) -> Any:
    """A plain principled material with its texture packed into the file; transparent where the image is."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes = material.node_tree.nodes
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = 0.7
    image = bpy.data.images.load(texture)
    image.name = Path(texture).name
    if image.size[0] > 512:
        image.scale(512, 512)
    image.pack()
    image.filepath = ""  # the file must not remember where it was built
    node = nodes.new("ShaderNodeTexImage")
    node.image = image
    material.node_tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    if image.depth == 32:  # hair and eyebrows are cut out by their alpha
        material.node_tree.links.new(node.outputs["Alpha"], shader.inputs["Alpha"])
        material.surface_render_method = "DITHERED"
    return material


def render(armature: Any, path: Path) -> None:
    """An image of the character with its arms half down and a leg lifted, to judge the weights by."""
    for name, turn in {
        "mixamorig:LeftArm": (55, 0, 0),
        "mixamorig:RightArm": (20, 0, 0),
        "mixamorig:LeftUpLeg": (-50, 0, 0),
        "mixamorig:LeftLeg": (60, 0, 0),
    }.items():
        bone = armature.pose.bones[name]
        bone.rotation_mode = "QUATERNION"
        bone.rotation_quaternion = Euler([math.radians(angle) for angle in turn]).to_quaternion()
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location, camera.rotation_euler = (1.6, -3.6, 1.3), Euler((math.radians(84), 0, math.radians(24)))
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.display.shading.light, scene.display.shading.color_type = "STUDIO", "TEXTURE"
    scene.render.resolution_x, scene.render.resolution_y = 600, 800
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
