"""How well contacts of the whole body are found: renders floor motions with truth, solves them and prints figures.

usage: measure_contacts.py render FOLDER COUNT [--more | --chairs] [--motions FOLDER]   (needs the extra 'train')
       measure_contacts.py solve FOLDER

Motions: KayKit's lying, push-ups, sit-ups and sitting on a chair (CC0, keyed by hand), HDM05's lying down and squats,
and posed figures that kneel, lie, sit and stand on hands and knees while they sway. Bodies have other proportions;
they lie on the floor by their own weight. The lens is not told. With `--more`: crawling, sitting down on the floor,
cartwheels, rolls, a backflip and a playground (KayKit, CMU, SNU), in which the body may be in the air. With
`--chairs`: people who sit on boxes of their own height, in one video of five at a table that may hide their legs, and
in one of five people who stand at one; the camera goes round them from front to back.
A part of the body is in contact where its lowest vertex is within 2 cm of its support and slower than 0.25 m/s.
A rendered body is rigid: where a real one rests, parts of it are 2 to 5 cm above the floor. F1 is also printed with
contacts that are told of such parts left out of account.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import ConvexHull

from backend.datasets import Motion
from backend.datasets.gltf import read_gltf
from backend.datasets.mocap import canonical_motion, load_motion
from backend.pipeline import SolveRequest, solve
from backend.solving.models import SolveModels, load_models
from backend.solving.request import SolveQuality
from backend.synthesis.assets import AssetLibrary
from backend.synthesis.body_model import BODY_VERTICES
from backend.synthesis.posing import PosedBody, pose_body, skin_vertices
from backend.synthesis.renderer import Actor, Renderer
from backend.synthesis.rooms import Surroundings, sample_place
from backend.synthesis.scene import Camera, box_mesh, sample_light
from backend.synthesis.video import still_camera, take_at
from backend.synthesis.wardrobe import Material, Part, Person, sample_person
from blender_addon.motion.body import bare_name, canonical_body, forward_kinematics
from blender_addon.motion.body_contacts import CONTACT_PARTS, body_parts, contact_parts
from blender_addon.motion.clip import MotionClip
from blender_addon.motion.contacts import point_speed_m_s
from blender_addon.motion.posing import clip_body, find_feet, pose_clip
from blender_addon.motion.rotations import (
    quaternion_from_to,
    quaternion_multiply,
    quaternion_rotate,
    quaternion_to_rotvec,
    rotvec_to_quaternion,
)

_SIZE_PX, _HEIGHT_PX, _FPS, _FRAMES = 512, 384, 15, 24
_NEAR_M, _SLOW_M_S = 0.02, 0.25
_HARDLY_ABOVE_M = 0.05
# heights in m by which false contacts are counted
_HEIGHTS_M = (_NEAR_M, _HARDLY_ABOVE_M, 0.08)
_ACTIONS = (
    "Push_Ups", "all_fours", "Sit_Ups", "lie_on_back", "Sit_Chair_Idle", "kneel", "sit_with_legs_out", "Lie_Idle",
    "lie_on_front", "lieDownFloor", "Lie_StandUp", "squat",
)  # fmt: skip
_MORE_ACTIONS = (
    "Crawling", "49_06", "Sit_Floor_Idle", "127_23", "data_motion_cart", "01_09", "49_07", "Sit_Floor_Down", "127_24",
    "data_motion_backflip", "49_08", "01_13",
)  # fmt: skip
_CHAIR_ACTIONS = ("sit_on_chair", "sit_with_feet_back", "Sit_Chair_Idle", "sit_at_table", "stand_at_table")
# turns about the body's left side (x), back (y) and up (z), degrees, of the rest pose's joints
_POSES: dict[str, dict[str, tuple[float, float, float]]] = {
    "all_fours": {"pelvis": (85, 0, 0), "hip": (-85, 0, 0), "knee": (90, 0, 0), "ankle": (80, 0, 0),
                  "shoulder": (0, 0, -85), "wrist": (0, -70, 0), "neck": (-30, 0, 0)},
    "kneel": {"knee": (90, 0, 0), "ankle": (80, 0, 0), "shoulder": (0, 75, 0)},
    "lie_on_back": {"pelvis": (-90, 0, 0), "shoulder": (0, 70, 0), "ankle": (25, 0, 0)},
    "lie_on_front": {"pelvis": (90, 0, 0), "shoulder": (0, 60, 0), "ankle": (75, 0, 0), "neck": (-20, 0, 0)},
    "sit_with_legs_out": {"pelvis": (-5, 0, 0), "hip": (-85, 0, 0), "shoulder": (10, 65, 0)},
    "sit_on_chair": {"hip": (-84, 0, -6), "knee": (84, 0, 0), "shoulder": (-20, 70, 0), "elbow": (0, 0, -50)},
    "sit_with_feet_back": {"pelvis": (8, 0, 0), "hip": (-90, 0, -8), "knee": (100, 0, 0), "ankle": (-12, 0, 0),
                           "shoulder": (-15, 70, 0)},
    "stand_at_table": {"shoulder": (-20, 70, 0), "elbow": (0, 0, -50)},
    "sit_at_table": {"hip": (-84, 0, -4), "knee": (84, 0, 0), "shoulder": (-35, 65, 0), "elbow": (0, 0, -70)},
}  # fmt: skip
_LIMB_MASS = {"shoulder": 0.02, "elbow": 0.02, "wrist": 0.01, "hip": 0.07, "knee": 0.06, "ankle": 0.02}
_TABLES = ("sit_at_table", "stand_at_table")
# subject of takes that leave the ground: only the whole of them is put on the floor
_LEAPS = "leaps"


@dataclass(frozen=True, slots=True)
class _Truth:
    """Heights (T, P) of each part's lowest vertex over its support, contacts (T, P), bone matrices of each frame."""

    height_m: np.ndarray
    contacts: np.ndarray
    posed: list[PosedBody]
    seat_m: float


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("render", "solve"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int, nargs="?", default=20)
    parser.add_argument("--motions", type=Path, default=Path("../shared/data"))
    parser.add_argument("--more", action="store_true", help="motions that leave the ground, and others")
    parser.add_argument("--chairs", action="store_true", help="people on chairs")
    args = parser.parse_args()
    if args.what == "render":
        args.folder.mkdir(parents=True, exist_ok=True)
        render(args.folder, args.count, args.motions, 26 if args.chairs else 25 if args.more else 24)
    else:
        report(args.folder)


# motions by the number that makes their random choices differ from those of the others
_KINDS = {24: _ACTIONS, 25: _MORE_ACTIONS, 26: _CHAIR_ACTIONS}


def render(folder: Path, count: int, motions: Path, kind: int) -> None:
    """Render videos 0 to `count` of the kind that are not there yet, each from its own number."""
    renderer, actions = Renderer(_SIZE_PX, 1.0), _KINDS[kind]
    for number in range(count):
        path = folder / f"{number:03d}.mp4"
        if path.exists():
            continue
        rng = np.random.default_rng([kind, number])
        action = actions[number % len(actions)]
        take = _take(rng, motions, action)
        # a third of the videos of each motion are on a lawn
        lawn = (number + number // len(actions)) % 3 == 2
        _render_one(rng, renderer, path, take, Surroundings.LAWN if lawn else Surroundings.ROOM)
        print(path.name, action, flush=True)


def _take(rng: np.random.Generator, data: Path, action: str) -> Motion:
    """A posed figure that sways and moves an arm, a take of HDM05, or one of KayKit's animations."""
    if action in _POSES:
        return _posed_take(rng, action)
    takes = sorted((data / "mocap" / "hdm05_asfamc").rglob(f"*{action}*.amc"))
    if takes:
        source = takes[rng.integers(len(takes))]
        skeletons = (data / "mocap" / "hdm05_asfamc").rglob("*.asf")
        skeleton = next(path for path in skeletons if source.stem.split("_")[1] in path.name)
        return load_motion(source, asf=skeleton, fps=30.0, action=action)
    takes = sorted(path for ending in ("amc", "bvh") for path in (data / "mocap").rglob(f"{action}.{ending}"))
    if takes:
        return load_motion(takes[0], fps=30.0 if takes[0].suffix == ".amc" else None, subject=_LEAPS, action=action)
    file = "Med_MovementAdvanced.glb" if action == "Crawling" else "Med_Simulation.glb"
    found = read_gltf(data / "floor" / "kaykit" / file, f"Rig_Medium|{action}", "Rig_Medium|T-Pose")
    return canonical_motion(found, found.fps, "kaykit", action, "kaykit")


def _posed_take(rng: np.random.Generator, action: str) -> Motion:
    body, frames = canonical_body(), 2 * _FRAMES
    turns = np.zeros((frames, len(body.joint_names), 3))
    for joint, name in enumerate(body.joint_names):
        side = -1.0 if name.startswith("right") else 1.0
        turns[:, joint] = np.array(_POSES[action].get(bare_name(name), (0, 0, 0))) * [1.0, side, side]
    waves = np.sin(2.0 * np.pi * (0.4 * np.arange(frames)[:, None] / 30.0 + rng.random((1, 6))))
    for at, name in enumerate(("neck", "head", "spine", "chest")):
        turns[:, body.joint_index(name)] += waves[:, at : at + 1] * rng.uniform(-5.0, 5.0, 3)
    # one arm waves where nothing stands on it
    if action not in ("all_fours", "lie_on_front", *_TABLES):
        turns[:, body.joint_index("left_shoulder"), 1] -= 45.0 * (1.0 + waves[:, 4])
    rotations = rotvec_to_quaternion(np.deg2rad(turns))
    return Motion(rotations, np.tile([0.0, 0.0, 0.9], (frames, 1)), 30.0, "posed", action, "posed")


def _render_one(
    rng: np.random.Generator, renderer: Renderer, path: Path, take: Motion, surroundings: Surroundings
) -> None:
    person = sample_person(rng, AssetLibrary())
    times_s = np.arange(_FRAMES) / _FPS
    length_s = (len(take) - 1) / take.fps - 1e-9
    # cycles go on from their start, others stay at their end
    cyclic = take.subject == "kaykit" and not take.action.endswith(("StandUp", "Down"))
    if take.subject == _LEAPS:
        times_s = times_s + np.clip(_bent_s(take) - 0.5 * times_s[-1], 0.0, max(0.0, length_s - times_s[-1]))
    if take.action == "lieDownFloor":
        times_s = times_s + max(0.0, length_s - times_s[-1])
    truth = _truth(person, take, np.mod(times_s, length_s) if cyclic else np.minimum(times_s, length_s))
    middle = np.mean([frame.joints_m[[0, 4]].mean(axis=0) for frame in truth.posed], axis=0)
    number = int(path.stem)
    chairs = seated(take) or take.action in _TABLES
    facing = np.pi * (number * 0.618 % 1.0) * (1.0 if number % 2 else -1.0) if chairs else None
    facing = 0.3 * facing if facing is not None and take.action in _TABLES else facing
    camera = _sample_camera(rng, middle, facing)
    place = sample_place(rng, surroundings, camera, middle)
    light = sample_light(rng, place.backdrop)
    things = renderer.upload((*place.things, *_chair(truth), *(_table(truth) if take.action in _TABLES else ())))
    parts = renderer.upload(person.parts)
    top = (_SIZE_PX - _HEIGHT_PX) // 2
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=_FPS, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = _SIZE_PX, _HEIGHT_PX, "yuv420p"
        for index, posed in enumerate(truth.posed):
            actors = [Actor(parts, posed.bone_matrices, 1.0), Actor(things, np.eye(3, 4)[None], 0.2)]
            image = renderer.render(camera, light, place.backdrop, tuple(actors)).image[top : top + _HEIGHT_PX]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, _FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    renderer.release(parts)
    renderer.release(things)
    np.savez(
        path.with_suffix(".npz"),
        down=-camera.world_from_camera[2, :3],
        action=take.action,
        kind=surroundings.value,
        height_m=truth.height_m,
        contacts=truth.contacts,
        seat_m=truth.seat_m,
        joints_camera_m=np.stack([camera.camera_from_world(frame.joints_m) for frame in truth.posed]),
    )


def seated(take: Motion) -> bool:
    """Whether somebody sits on a box."""
    return take.action.split("|")[-1] in _CHAIR_ACTIONS and not take.action.startswith("stand")


def _sample_camera(rng: np.random.Generator, middle_m: np.ndarray, facing: float | None) -> Camera:
    """A camera anywhere around, or by the angle `facing` (rad) beside the front of a body that faces -Y."""
    yaw, distance = rng.uniform(-np.pi, np.pi), rng.uniform(2.8, 4.5)
    yaw = yaw if facing is None else facing - 0.5 * np.pi
    eye = np.array([*(middle_m[:2] + distance * np.array([np.cos(yaw), np.sin(yaw)])), rng.uniform(0.5, 2.2)])
    target = middle_m + rng.normal(0.0, 0.1, 3)
    return still_camera(eye, target, float(np.radians(rng.uniform(50.0, 68.0))), _SIZE_PX)


def _chair(truth: _Truth) -> tuple[Part, ...]:
    if truth.seat_m <= 0.0:
        return ()
    hips = np.mean([frame.joints_m[0] for frame in truth.posed], axis=0)
    box = box_mesh(
        np.array([hips[0], hips[1] + 0.05, 0.5 * truth.seat_m]), np.array([0.24, 0.22, 0.5 * truth.seat_m]), np.eye(3)
    )
    return (Part(box, _paint()),)


def _table(truth: _Truth) -> tuple[Part, ...]:
    """A closed desk, or a counter, before the person that hides the legs from the front."""
    hips, top = np.mean([frame.joints_m[0] for frame in truth.posed], axis=0), truth.seat_m + 0.28
    top = top if truth.seat_m > 0.0 else hips[2] + 0.02
    box = box_mesh(np.array([hips[0], hips[1] - 0.75, 0.5 * top]), np.array([0.6, 0.05, 0.5 * top]), np.eye(3))
    return (Part(box, _paint()),)


def _paint() -> Material:
    return Material(None, (0.3, 0.2, 0.1), (0.3, 0.2, 0.1), -9.0, 0.0, 0, (0.3, 0.2, 0.1), 1.0, 0.1)


def _truth(person: Person, take: Motion, times_s: np.ndarray) -> _Truth:
    rotations, root = take_at(take, times_s)
    # somebody on a chair would fall on the floor by their own weight
    as_it_is = take.source.endswith((".amc", ".bvh")) or seated(take) or take.action in _TABLES
    posed = _settled(person, rotations, root, as_it_is)
    groups = list(_vertex_groups(person))
    chosen = np.concatenate(groups)
    vertices = np.stack([skin_vertices(person.body, frame.bone_matrices, chosen) for frame in posed])
    sizes = np.cumsum([0, *(len(group) for group in groups)])
    low = np.stack([vertices[:, first:last, 2].min(axis=1) for first, last in pairwise(sizes)], axis=1)
    lift = low.min(axis=1)
    if take.subject == _LEAPS:
        lift = np.full(len(lift), np.percentile(lift, 5.0))
    posed = [frame.moved(np.array([0.0, 0.0, -up])) for frame, up in zip(posed, lift, strict=True)]
    vertices[..., 2] -= lift[:, None]
    low = low - lift[:, None]
    seat, seat_m = CONTACT_PARTS.index("seat"), 0.0
    if seated(take):
        seat_m = float(np.median(low[:, 4 + seat]))
        low[:, 4 + seat] -= seat_m
    speed = np.stack(
        [
            point_speed_m_s(np.arange(len(posed)) / _FPS, vertices[:, first:last].mean(axis=1)[:, None])[:, 0]
            for first, last in pairwise(sizes)
        ],
        axis=1,
    )
    return _Truth(low, (low < _NEAR_M) & (speed < _SLOW_M_S), posed, seat_m)


def _bent_s(take: Motion) -> float:
    """When the trunk is least upright."""
    body = canonical_body()
    joints, _ = forward_kinematics(body, take.rotations_wxyz.astype(np.float64), take.root_m.astype(np.float64))
    return float((joints[:, body.joint_index("neck")] - joints[:, 0])[:, 2].argmin() / take.fps)


def _settled(person: Person, rotations: np.ndarray, root_m: np.ndarray, as_it_is: bool) -> list[PosedBody]:
    """The body on the floor, turned as a whole so that it stays there by itself: its weight is over what it rests on.

    The motions were keyed for another figure: without this a seat hangs over the floor between feet and hands.
    """
    every = np.arange(0, BODY_VERTICES, 4)
    turns = []
    if as_it_is:
        return [pose_body(person.body, turn, at, (0.25, 0.25)) for turn, at in zip(rotations, root_m, strict=True)]
    for turn, at in zip(rotations, root_m, strict=True):
        frame = pose_body(person.body, turn, at, (0.25, 0.25))
        turns.append(_rest_turn(skin_vertices(person.body, frame.bone_matrices, every), _mass_middle_m(frame.joints_m)))
    smooth = rotvec_to_quaternion(gaussian_filter1d(np.array(turns), 1.5, axis=0, mode="nearest"))
    turned = rotations.copy()
    turned[:, 0] = quaternion_multiply(smooth, rotations[:, 0])
    return [pose_body(person.body, turn, at, (0.25, 0.25)) for turn, at in zip(turned, root_m, strict=True)]


def _mass_middle_m(joints_m: np.ndarray) -> np.ndarray:
    body = canonical_body()
    weights = {"pelvis": 0.2, "chest": 0.2, "neck": 0.12, "head": 0.08}
    weights |= {f"{side}_{name}": share for side in ("left", "right") for name, share in _LIMB_MASS.items()}
    return np.asarray(sum(share * joints_m[body.joint_index(name)] for name, share in weights.items()))


def _rest_turn(points_m: np.ndarray, middle_m: np.ndarray) -> np.ndarray:
    """The smallest turn (3,) that lays a face of the body's convex hull, with the middle of mass over it, down."""
    hull = ConvexHull(points_m)
    normals, corners = hull.equations[:, :3], points_m[hull.vertices]
    for facet in np.argsort(normals[:, 2]):
        normal = normals[facet]
        level = quaternion_rotate(quaternion_from_to(normal, np.array([0.0, 0.0, -1.0])), corners - middle_m)
        on_floor = level[level[:, 2] < level[:, 2].min() + 0.01, :2]
        angles = np.sort(np.arctan2(on_floor[:, 1], on_floor[:, 0]))
        if len(angles) > 2 and np.diff([*angles, angles[0] + 2.0 * np.pi]).max() < np.pi:
            return np.asarray(quaternion_to_rotvec(quaternion_from_to(normal, np.array([0.0, 0.0, -1.0]))))
    return np.zeros(3)


def _vertex_groups(person: Person) -> Iterator[np.ndarray]:
    """Vertices of the four foot points and of each contact part, by their strongest bone and place in the rest pose."""
    body, model = canonical_body(), person.body.model
    every = np.arange(0, BODY_VERTICES)
    strongest = model.weight_bones[every, model.weights[every].argmax(axis=1)]
    joint = person.body.joint_of_bone[strongest]
    identity = np.tile([1.0, 0.0, 0.0, 0.0], (len(body.joint_names), 1))
    rest = pose_body(person.body, identity, np.zeros(3))
    points = skin_vertices(person.body, rest.bone_matrices, every)
    for side in ("left", "right"):
        ankle, toe = (body.joint_index(f"{side}_{name}") for name in ("ankle", "toe"))
        foot = (joint == ankle) | (joint == toe)
        behind = points[:, 1] > rest.joints_m[ankle, 1] + 0.01
        yield every[foot & behind & (points[:, 2] < rest.joints_m[ankle, 2])]
        yield every[foot & ~behind & (points[:, 1] < rest.joints_m[ankle, 1] - 0.08)]
    for part in contact_parts():
        own = np.isin(joint, [body.joint_index(name) for name in part.skin_joints])
        near = np.linalg.norm(points - rest.joints_m[body.joint_index(part.joint)], axis=1) < part.skin_reach_m
        yield every[own & near]


def report(folder: Path) -> None:
    """Solve every video of the folder and print gravity, contacts and heights of each and of all."""
    models = load_models(SolveQuality.BALANCED)
    rows = [row for path in sorted(folder.glob("*.mp4")) if (row := _solve_one(path, models)) is not None]
    hits, found, true = np.sum([row[0] for row in rows], axis=0).T
    for at, name in enumerate(("heels", "toes", *CONTACT_PARTS)):
        print(f"{name:12s} F1 {2 * hits[at] / max(found[at] + true[at], 1):.2f} of {true[at]:.0f}")
    print(f"contacts: F1 {2 * hits.sum() / max(found.sum() + true.sum(), 1):.2f}")
    false = np.concatenate([row[4] for row in rows])
    counts = np.histogram(false, [-np.inf, *_HEIGHTS_M, np.inf])[0]
    print(f"false contacts by true height, up to {', '.join(f'{edge:g}' for edge in _HEIGHTS_M)} m and above: {counts}")
    clear = found.sum() - counts[1]
    print(f"F1 without those up to {_HARDLY_ABOVE_M:g} m: {2 * hits.sum() / max(clear + true.sum(), 1):.2f}")
    error = np.array([row[1] for row in rows])
    print(f"gravity: median {np.median(error):.1f}, within 5 degrees {np.mean(error < 5):.2f} of {len(rows)}")
    resting = np.concatenate([row[2] for row in rows])
    deep = np.array([row[3] for row in rows])
    print(f"resting parts within 3 cm of their support: {np.mean(np.abs(resting) < 0.03):.2f}")
    print(f"lowest point more than 2 cm below the floor: {np.mean(deep):.2f} of the frames")


def _solve_one(path: Path, models: SolveModels) -> tuple[np.ndarray, float, np.ndarray, float, np.ndarray] | None:
    """Counts (8, 3) of hits, told and true contacts, error of gravity, heights of resting parts over their support, the
    share of frames with a part below the floor, true heights of false contacts; None where nothing was solved.
    """
    truth = np.load(path.with_suffix(".npz"))
    try:
        result = solve(SolveRequest(path, path.with_suffix(".clip.npz"), quality=SolveQuality.BALANCED), models=models)
    except Exception as fault:  # nobody found: nothing to measure
        print(path.name, "not solved:", fault, flush=True)
        return None
    clip = result.clips[0]
    down = -clip.world_from_camera[0, 2, :3]
    error = float(np.rad2deg(np.arccos(np.clip(down @ truth["down"], -1.0, 1.0))))
    solved = np.isfinite(clip.root_world_m).all(axis=1)
    height = part_heights_m(clip)[solved]
    height[:, 4 + CONTACT_PARTS.index("seat")] -= truth["seat_m"] * (clip.header.body_height_m / 1.7)
    own, true = told_contacts(clip)[solved], truth["contacts"][: len(clip)][solved]
    counts = np.stack([(own & true).sum(axis=0), own.sum(axis=0), true.sum(axis=0)], axis=1)
    counts = np.concatenate([counts[[0, 1]] + counts[[2, 3]], counts[4:]])
    deep = float((height.min(axis=1) < -0.02).mean())
    print(
        f"{path.name} {truth['kind']} {str(truth['action']).split('|')[-1]} gravity {error:.1f} "
        f"+- {clip.header.gravity_uncertainty_deg:.1f}, F1 {2 * counts[:, 0].sum() / max(counts[:, 1:].sum(), 1):.2f}, "
        f"resting {np.abs(height[true]).mean():.3f} m off, deep {deep:.2f}, lowest {height.min():.2f}",
        flush=True,
    )
    return counts, error, height[true], deep, truth["height_m"][: len(clip)][solved][own & ~true]


def part_heights_m(clip: MotionClip) -> np.ndarray:
    """Heights (T, P) of the lowest surface of foot points and contact parts over the floor."""
    body, posed = clip_body(clip), pose_clip(clip)
    feet = find_feet(body, posed)
    parts = body_parts(body, posed)
    return np.concatenate(
        [feet.positions_m[..., 2] - feet.clearance_m, parts.positions_m[..., 2] - parts.radius_m], axis=1
    )


def told_contacts(clip: MotionClip) -> np.ndarray:
    """Contacts (T, P) that the clip tells."""
    feet = np.asarray(clip.contacts) > 0.5
    if getattr(clip, "body_contacts", None) is None:
        return np.concatenate([feet, np.zeros((len(clip), len(CONTACT_PARTS)), bool)], axis=1)
    return np.concatenate([feet, np.asarray(clip.body_contacts) > 0.5], axis=1)


if __name__ == "__main__":
    main()
