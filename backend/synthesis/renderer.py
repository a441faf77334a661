"""Draws posed people in front of a backdrop with OpenGL through EGL: no window, no GPU needed.

May import numpy, moderngl, cv2 and its own room. One `Renderer` belongs to one process and one thread.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.errors import DeviceError
from backend.synthesis import shaders
from backend.synthesis.assets import read_texture
from backend.synthesis.meshes import SkinnedMesh
from backend.synthesis.panoramas import HEIGHT, WIDTH, Panorama
from backend.synthesis.scene import Backdrop, Camera, Light
from backend.synthesis.wardrobe import EYE_TEXTURE, Material, Part
from backend.types import Array

NEAR_M, FAR_M = 0.1, 60.0
_SHADOW_SIZE = 640
_SHADOW_REACH_M = 1.7
_MAX_BONES = 128
_TEXTURES_KEPT = 160
_PANORAMAS_KEPT = 12
_VERTEX = np.dtype(
    [("position", "3f4"), ("normal", "3f4"), ("uv", "2f4"), ("bones", "4u1"), ("weights", "4f4")], align=False
)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A part on the GPU: vertex arrays for colour and shadow, and the buffers behind them."""

    color: Any
    shadow: Any
    buffers: tuple[Any, ...]
    material: Material


@dataclass(frozen=True, slots=True)
class Actor:
    """Something to draw: uploaded parts and their bone matrices (B, 3, 4); `identity` 0..1 is written to the mask."""

    parts: tuple[Uploaded, ...]
    bone_matrices: Array
    identity: float


@dataclass(frozen=True, slots=True)
class RenderedImage:
    """image (S, S, 3) RGB, coverage (S, S) 0..255 of the first actor, depth_m (R, R) along the optical axis."""

    image: NDArray[np.uint8]
    coverage: NDArray[np.uint8]
    depth_m: NDArray[np.float32]


class Renderer:
    """An off-screen renderer of square images `size_px` wide, drawn `supersample` times larger and shrunk."""

    def __init__(self, size_px: int, supersample: float = 1.6) -> None:
        # the software rasteriser's own threads would fight with the other worker processes
        os.environ.setdefault("LP_NUM_THREADS", "0")
        self.size_px = size_px
        self.render_px = round(size_px * supersample)
        self._context = _create_context()
        import moderngl

        self._gl = moderngl
        self._context.enable(moderngl.DEPTH_TEST)
        make = self._context.program
        self._skin = make(vertex_shader=shaders.SKIN_VERTEX, fragment_shader=shaders.SKIN_FRAGMENT)
        self._shadow = make(vertex_shader=shaders.SHADOW_VERTEX, fragment_shader=shaders.SHADOW_FRAGMENT)
        self._backdrop = make(vertex_shader=shaders.BACKDROP_VERTEX, fragment_shader=shaders.BACKDROP_FRAGMENT)
        corners = np.array([[-1, -1], [3, -1], [-1, 3]], dtype=np.float32)
        self._copy = make(vertex_shader=shaders.BACKDROP_VERTEX, fragment_shader=shaders.COPY_FRAGMENT)
        triangle = self._context.buffer(corners.tobytes())
        self._screen = self._context.vertex_array(self._backdrop, [(triangle, "2f", "corner")])
        self._screen_copy = self._context.vertex_array(self._copy, [(triangle, "2f", "corner")])
        # the backdrop's shader is the dearest and its image the softest: it is drawn at the final size
        self._backdrop_image = self._context.texture((size_px, size_px), 4)
        self._backdrop_target = self._context.framebuffer([self._backdrop_image])
        size = (self.render_px, self.render_px)
        self._depth = self._context.depth_texture(size)
        self._target = self._context.framebuffer([self._context.renderbuffer(size, 4)], self._depth)
        self._shadow_map = self._context.depth_texture((_SHADOW_SIZE, _SHADOW_SIZE))
        self._shadow_map.compare_func = ""
        self._shadow_map.repeat_x = self._shadow_map.repeat_y = False
        self._shadow_target = self._context.framebuffer(depth_attachment=self._shadow_map)
        self._bones = self._context.buffer(reserve=_MAX_BONES * 48)
        self._textures: dict[str, Any] = {}
        self._panoramas: dict[str, Any] = {}

    def upload(self, parts: tuple[Part, ...]) -> tuple[Uploaded, ...]:
        """Put meshes and textures on the GPU; hand them to `release` when done."""
        return tuple(self._upload(part) for part in parts)

    def release(self, parts: tuple[Uploaded, ...]) -> None:
        """Free the vertex arrays and buffers of uploaded parts; textures stay cached."""
        for part in parts:
            for resource in (part.color, part.shadow, *part.buffers):
                resource.release()

    def render(
        self, camera: Camera, light: Light, backdrop: Backdrop | None, actors: tuple[Actor, ...]
    ) -> RenderedImage:
        """Draw the actors; the first one gives the coverage and the middle of the shadow map. Without a backdrop the
        image is black behind them.
        """
        middle = actors[0].bone_matrices[0] @ np.array([0.0, 0.0, 0.0, 1.0])
        shadow_from_world = _shadow_matrix(light.sun_direction, middle)
        self._draw_shadows(actors, shadow_from_world)
        for program in (self._skin, self._backdrop):
            self._set_light(program, light, shadow_from_world)
        if backdrop is None:
            self._target.use()
            self._target.clear(0.0, 0.0, 0.0, 0.0, 1.0)
        else:
            self._draw_backdrop(camera, backdrop, middle)
        self._draw_actors(camera, actors)
        return self._read()

    def _upload(self, part: Part) -> Uploaded:
        mesh = part.mesh
        vertices = self._context.buffer(_interleaved(mesh).tobytes())
        indices = self._context.buffer(mesh.triangles.astype("<i4").tobytes())
        color = self._context.vertex_array(
            self._skin, [(vertices, "3f 3f 2f 4u1 4f", "position", "normal", "uv", "bones", "weights")], indices
        )
        shadow = self._context.vertex_array(
            self._shadow, [(vertices, "3f 20x 4u1 4f", "position", "bones", "weights")], indices
        )
        return Uploaded(color, shadow, (vertices, indices), part.material)

    def _draw_shadows(self, actors: tuple[Actor, ...], shadow_from_world: Array) -> None:
        self._shadow_target.use()
        self._shadow_target.clear(depth=1.0)
        self._shadow["clip_from_world"].write(_column_major(shadow_from_world))
        for actor in actors:
            self._bind_bones(actor)
            for part in actor.parts:
                part.shadow.render()

    def _draw_backdrop(self, camera: Camera, backdrop: Backdrop, middle: Array) -> None:
        program = self._backdrop
        camera_axes = camera.world_from_camera[:3, :3]
        pixel_from_clip = np.array([[0.5, 0.0, 0.5], [0.0, -0.5, 0.5], [0.0, 0.0, 1.0]])
        pixel_from_clip[:2] *= camera.size_px
        ray = camera_axes @ np.linalg.inv(camera.intrinsics) @ pixel_from_clip
        forward = ray @ np.array([0.0, 0.0, 1.0])
        walls = backdrop.room_walls_m
        values: dict[str, Any] = {
            "eye": tuple(camera.world_from_camera[:3, 3]),
            "forward": tuple(forward / np.linalg.norm(forward)),
            "panorama_yaw": backdrop.yaw_rad,
            "panorama_gain": backdrop.gain,
            "floor_kind": backdrop.floor_kind,
            "floor_a": backdrop.floor_colors[0],
            "floor_b": backdrop.floor_colors[1],
            "floor_rate": backdrop.floor_per_m,
            "floor_angle": backdrop.floor_angle_rad,
            "room": walls is not None,
            "room_walls": walls or (-1.0, -1.0, 1.0, 1.0),
            "room_height": backdrop.room_height_m,
            "wall_a": backdrop.wall_colors[0],
            "wall_b": backdrop.wall_colors[1],
            "wall_rate": backdrop.wall_per_m,
            "shadow_catcher": backdrop.shadow_catcher,
            "person_place": tuple(middle[:2]),
            "panorama": 2,
        }
        for name, value in values.items():
            program[name].value = value
        program["world_ray_from_clip"].write(_column_major(ray))
        self._panorama(backdrop.panorama).use(2)
        self._context.disable(self._gl.DEPTH_TEST)
        self._backdrop_target.use()
        self._screen.render(vertices=3)
        self._target.use()
        self._target.clear(0.0, 0.0, 0.0, 0.0, 1.0)
        self._backdrop_image.use(0)
        self._copy["image"].value = 0
        self._screen_copy.render(vertices=3)
        self._context.enable(self._gl.DEPTH_TEST)

    def _draw_actors(self, camera: Camera, actors: tuple[Actor, ...]) -> None:
        program = self._skin
        program["clip_from_world"].write(_column_major(_clip_from_world(camera)))
        program["eye"].value = tuple(camera.world_from_camera[:3, 3])
        program["diffuse"].value = 0
        for actor in actors:
            self._bind_bones(actor)
            program["person"].value = actor.identity
            for part in actor.parts:
                self._set_material(part.material)
                part.color.render()

    def _set_light(self, program: Any, light: Light, shadow_from_world: Array) -> None:
        uniforms: dict[str, Any] = {
            "irradiance": [tuple(row) for row in light.irradiance.astype(float)],
            "sun_direction": tuple(light.sun_direction.astype(float)),
            "sun_color": tuple(light.sun_color.astype(float)),
            "shadow_softness": light.shadow_softness,
            "exposure": light.exposure,
            "shadow_map": 1,
        }
        for name, value in uniforms.items():
            program[name].value = value
        program["shadow_from_world"].write(_column_major(shadow_from_world))
        self._shadow_map.use(1)

    def _set_material(self, material: Material) -> None:
        program = self._skin
        program["tint_low"].value = material.tint_low
        program["tint_high"].value = material.tint_high
        program["waist"].value = material.waist_m
        program["grey"].value = material.grey
        program["pattern"].value = material.pattern
        program["pattern_color"].value = material.pattern_color
        program["pattern_rate"].value = material.pattern_per_m
        program["gloss"].value = material.gloss
        program["cut_out"].value = material.cut_out
        self._texture(material.texture).use(0)

    def _bind_bones(self, actor: Actor) -> None:
        matrices = np.zeros((_MAX_BONES, 3, 4), dtype=np.float32)
        matrices[: len(actor.bone_matrices)] = actor.bone_matrices
        self._bones.write(matrices.tobytes())
        self._bones.bind_to_uniform_block(0)

    def _texture(self, texture: Path | str | None) -> Any:
        key = str(texture)
        if key not in self._textures:
            if len(self._textures) >= _TEXTURES_KEPT:
                self._textures.pop(next(iter(self._textures))).release()
            pixels = _texture_pixels(texture)
            handle = self._context.texture(
                (pixels.shape[1], pixels.shape[0]), 4, np.ascontiguousarray(pixels).tobytes()
            )
            handle.build_mipmaps()
            handle.anisotropy = 1.0
            self._textures[key] = handle
        return self._textures[key]

    def _panorama(self, panorama: Panorama) -> Any:
        if panorama.name not in self._panoramas:
            if len(self._panoramas) >= _PANORAMAS_KEPT:
                self._panoramas.pop(next(iter(self._panoramas))).release()
            pixels = np.minimum(panorama.radiance, 60.0).astype(np.float16)
            handle = self._context.texture((WIDTH, HEIGHT), 3, pixels.tobytes(), dtype="f2")
            handle.repeat_y = False
            self._panoramas[panorama.name] = handle
        return self._panoramas[panorama.name]

    def _read(self) -> RenderedImage:
        side = self.render_px
        pixels = np.frombuffer(self._target.read(components=4), dtype=np.uint8).reshape(side, side, 4)[::-1]
        depth = np.frombuffer(self._depth.read(), dtype=np.float32).reshape(side, side)[::-1]
        meters = 2 * FAR_M * NEAR_M / ((FAR_M + NEAR_M) - (2 * depth - 1) * (FAR_M - NEAR_M))
        small = cv2.resize(pixels, (self.size_px, self.size_px), interpolation=cv2.INTER_AREA)
        return RenderedImage(np.ascontiguousarray(small[:, :, :3]), np.ascontiguousarray(small[:, :, 3]), meters)


def _create_context() -> Any:
    try:
        import moderngl

        settings: Any = {"backend": "egl", "require": 330}
        return moderngl.create_standalone_context(**settings)
    except Exception as fault:  # the binding raises bare Exception for every cause
        raise DeviceError(
            f"OpenGL 3.3 through EGL is not available ({fault})",
            "Install Mesa's EGL library (Debian: libegl1 libgl1-mesa-dri) or a GPU driver, and the extra 'train'",
        ) from fault


def _interleaved(mesh: SkinnedMesh) -> NDArray[np.void]:
    vertices = np.zeros(len(mesh.position_m), dtype=_VERTEX)
    vertices["position"], vertices["normal"], vertices["uv"] = mesh.position_m, mesh.normal, mesh.uv
    vertices["bones"], vertices["weights"] = mesh.bones, mesh.weights
    return vertices


def _texture_pixels(texture: Path | str | None) -> NDArray[np.uint8]:
    if texture is None:
        return np.full((2, 2, 4), 255, dtype=np.uint8)
    if texture == EYE_TEXTURE:
        return eye_pixels()
    return read_texture(Path(texture))


def eye_pixels() -> NDArray[np.uint8]:
    """An eyeball seen from the front: white, a brown iris, the pupil."""
    side = 64
    y, x = np.mgrid[0:side, 0:side]
    radius = np.hypot(x - side / 2 + 0.5, y - side / 2 + 0.5) / (side / 2)
    pixels = np.full((side, side, 4), (225, 220, 214, 255), dtype=np.uint8)
    pixels[radius < 0.48] = (70, 48, 34, 255)
    pixels[radius < 0.2] = (10, 8, 8, 255)
    return pixels


def _column_major(matrix: Array) -> bytes:
    return np.ascontiguousarray(matrix.T, dtype=np.float32).tobytes()


def _clip_from_world(camera: Camera) -> Array:
    k, side = camera.intrinsics, camera.size_px
    clip_from_camera: Array = np.array(
        [
            [2 * k[0, 0] / side, 2 * k[0, 1] / side, 2 * k[0, 2] / side - 1, 0.0],
            [0.0, -2 * k[1, 1] / side, 1 - 2 * k[1, 2] / side, 0.0],
            [0.0, 0.0, (FAR_M + NEAR_M) / (FAR_M - NEAR_M), -2 * FAR_M * NEAR_M / (FAR_M - NEAR_M)],
            [0.0, 0.0, 1.0, 0.0],
        ],
        dtype=np.float64,
    )
    clip_from_world: Array = clip_from_camera @ np.linalg.inv(camera.world_from_camera)
    return clip_from_world


def _shadow_matrix(sun_direction: Array, middle: Array) -> Array:
    """Orthographic view from the sun onto the person, x y z in -1..1."""
    z = -sun_direction / np.linalg.norm(sun_direction)
    side = np.cross(z, [0.0, 0.0, 1.0] if abs(z[2]) < 0.95 else [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(z, side), z])
    matrix = np.eye(4)
    matrix[:3, :3] = axes / _SHADOW_REACH_M
    matrix[2, :3] /= 2.0  # deeper than wide: what throws a long shadow stands far from the middle
    matrix[:3, 3] = -matrix[:3, :3] @ middle
    return matrix
