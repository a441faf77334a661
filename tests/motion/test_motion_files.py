"""Motion files of other tools: SMPL and SMPL-X in every layout, MHR, BVH; and what is refused, with which words."""

from __future__ import annotations

import pickle
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from blender_addon.motion.clip import write_clip
from blender_addon.motion.joint_states import MHR_JOINTS
from blender_addon.motion.motion_file_error import MotionFileError
from blender_addon.motion.read_motion_file import is_clip_file, read_motion_file
from tests.motion.foreign_motion import bvh_text, smpl_rotations
from tests.retarget.random_motion import walk_clip

torch = pytest.importorskip("torch")
WALK = walk_clip(steps=3)
FRAMES = len(WALK)
POSE, PATH = smpl_rotations(WALK, "z")


def amass(path: Path, **changes: object) -> Path:
    arrays = {
        "poses": np.concatenate([POSE.reshape(FRAMES, -1), np.zeros((FRAMES, 90))], axis=1),
        "trans": PATH,
        "betas": np.zeros(16),
        "mocap_framerate": np.array(30.0),
        "gender": np.array("neutral"),
    } | changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def test_the_layouts_of_all_tools_hold_the_same_motion(tmp_path: Path) -> None:
    flat, body = POSE.reshape(FRAMES, -1), POSE[:, 1:].reshape(FRAMES, -1)
    smplx = {"root_orient": flat[:, :3], "pose_body": body, "trans": PATH, "mocap_frame_rate": np.array(30.0)}
    np.savez(tmp_path / "smplx.npz", **smplx)
    params = {"global_orient": torch.tensor(flat[:, :3]), "body_pose": torch.tensor(body), "transl": torch.tensor(PATH)}
    params["betas"] = torch.zeros(FRAMES, 10)
    gvhmr = {"smpl_params_global": params, "smpl_params_incam": params, "K_fullimg": torch.eye(3)}
    torch.save(gvhmr, tmp_path / "hmr4d_results.pt")
    padded = np.concatenate([flat, np.zeros((FRAMES, 6))], axis=1)
    person = {"pose_world": padded, "trans_world": PATH, "frame_ids": np.arange(FRAMES), "verts": np.zeros((FRAMES, 9))}
    torch.save({0: person, 3: person}, tmp_path / "wham_output.pt")
    aist = {"smpl_poses": padded.astype(np.float32), "smpl_trans": 90.0 * PATH, "smpl_scaling": np.array([90.0])}
    (tmp_path / "aist.pkl").write_bytes(pickle.dumps(aist, protocol=2))
    (wanted,) = read_motion_file(amass(tmp_path / "amass.npz"))
    assert len(wanted) == FRAMES
    assert not wanted.notes
    for name in ("smplx.npz", "hmr4d_results.pt", "wham_output.pt", "aist.pkl"):
        found = read_motion_file(tmp_path / name)
        assert len(found) == (2 if "wham" in name else 1)
        np.testing.assert_allclose(found[0].rotations, wanted.rotations, atol=1e-5)
        np.testing.assert_allclose(found[0].positions, wanted.positions, atol=1e-5)
        assert found[0].up is not None
        np.testing.assert_array_equal(found[0].up, [0.0, 0.0, 1.0])  # told by the body where the tool's files vary


def test_frames_that_a_tracker_lost_stay_a_gap(tmp_path: Path) -> None:
    ids = np.r_[np.arange(10), np.arange(20, 10 + FRAMES)]
    person = {"pose": POSE.reshape(FRAMES, -1), "trans": PATH, "frame_ids": ids}
    torch.save({1: person}, tmp_path / "wham.pt")
    (found,) = read_motion_file(tmp_path / "wham.pt", fps=30.0)
    assert found.times_s[10] - found.times_s[9] == pytest.approx(11 / 30)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_tensors_of_any_precision_and_stride(tmp_path: Path, dtype: torch.dtype) -> None:
    turned = torch.tensor(POSE.reshape(FRAMES, -1)).to(dtype).T.contiguous().T  # columns first
    parts = {"global_orient": turned[:, :3], "body_pose": turned[:, 3:], "transl": torch.tensor(PATH)}
    torch.save({"smpl_params_global": parts}, tmp_path / "take.pt")
    (found,) = read_motion_file(tmp_path / "take.pt", fps=30.0)
    (wanted,) = read_motion_file(amass(tmp_path / "amass.npz"))
    tolerance = {torch.float16: 5e-3, torch.bfloat16: 5e-2}.get(dtype, 1e-5)
    np.testing.assert_allclose(found.rotations, wanted.rotations, atol=tolerance)


def test_a_rate_that_nobody_states_is_assumed_and_told(tmp_path: Path) -> None:
    (found,) = read_motion_file(amass(tmp_path / "take.npz", mocap_framerate=None))
    assert found.fps == pytest.approx(30.0)
    assert any("30 frames a second are assumed" in note for note in found.notes)
    (given,) = read_motion_file(tmp_path / "take.npz", fps=60.0)
    assert given.fps == pytest.approx(60.0)
    assert not given.notes


def test_a_file_without_a_path_stays_in_place_and_says_so(tmp_path: Path) -> None:
    (found,) = read_motion_file(amass(tmp_path / "take.npz", trans=None))
    assert any("stays in place" in note for note in found.notes)


class Attack:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_no_code_in_a_file_ever_runs(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "it ran"
    pose = {"poses": POSE.reshape(FRAMES, -1), "trans": Attack(mark)}
    torch.save(pose, tmp_path / "attack.pt", pickle_protocol=max(protocol, 2))
    (tmp_path / "attack.pkl").write_bytes(pickle.dumps(pose, protocol=protocol))
    np.savez(tmp_path / "attack.npz", poses=np.array([pose], dtype=object))
    for name in ("attack.pt", "attack.pkl", "attack.npz"):
        with pytest.raises(MotionFileError) as told:
            read_motion_file(tmp_path / name)
        assert told.value.remedy
        assert not mark.exists()
    if protocol >= 2:
        with pytest.raises(MotionFileError, match=r"could run any program"):
            read_motion_file(tmp_path / "attack.pt")


def test_a_pickle_that_repeats_itself_without_end_is_refused(tmp_path: Path) -> None:
    value: object = [0]
    for _ in range(60):
        value = (value, value)
    (tmp_path / "bomb.pkl").write_bytes(pickle.dumps({"poses": value}))
    with pytest.raises(MotionFileError, match="far too many values"):
        read_motion_file(tmp_path / "bomb.pkl")


def test_a_tensor_beyond_its_data_is_refused(tmp_path: Path) -> None:
    torch.save({"poses": torch.zeros(4, 72)}, tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, zipfile.ZipFile(tmp_path / "cut.pt", "w") as cut:
        for name in whole.namelist():
            data = whole.read(name)
            cut.writestr(name, data[: len(data) // 2] if "/data/" in name else data)
    with pytest.raises(MotionFileError, match="reaches beyond its data"):
        read_motion_file(tmp_path / "cut.pt")


def nan_pose() -> np.ndarray:
    pose = POSE.reshape(FRAMES, -1).copy()
    pose[7, 5] = np.nan
    return pose


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"poses": None}, "none of the arrays of a motion"),
        ({"poses": nan_pose()}, "NaN or infinite values in 1 of"),
        ({"poses": POSE[:, :10].reshape(FRAMES, -1)}, "a body has 22 or more"),
        ({"poses": np.zeros((FRAMES, 65))}, "has the shape"),
        ({"poses": np.zeros(66)}, "has the shape"),
        ({"trans": PATH[:-3]}, "frames"),
        ({"trans": PATH[:, :2]}, "has the shape"),
        ({"poses": np.array(["a", "b"])}, "no array of numbers"),
        ({"poses": np.zeros((FRAMES, 22, 3, 3))}, "no rotations"),
    ],
)
def test_bad_arrays_are_named_with_a_remedy(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    path = amass(tmp_path / "take.npz", **changes)
    with pytest.raises(MotionFileError, match=words) as told:
        read_motion_file(path)
    assert "take.npz" in told.value.message
    assert told.value.remedy


@pytest.mark.parametrize("name", ["take.npz", "take.pt", "take.pkl", "take.bvh", "take.txt", "gone.npz"])
def test_files_that_are_no_motion_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if not name.startswith("gone"):
        path.write_bytes(b"not a motion at all")
    with pytest.raises(MotionFileError) as told:
        read_motion_file(path)
    assert told.value.remedy
    assert name in str(told.value)


def test_what_wham_writes_is_read_and_a_cut_or_compressed_one_is_told(tmp_path: Path) -> None:
    # joblib 1.6.0: joblib.dump of a defaultdict of two people, as WHAM's demo.py does, the first 8 frames of WALK
    whole = (Path(__file__).parent / "wham_output.pkl").read_bytes()
    (tmp_path / "wham_output.pkl").write_bytes(whole)
    first, second = read_motion_file(tmp_path / "wham_output.pkl", fps=30.0)
    assert len(first) == len(second) == 8
    np.testing.assert_allclose(second.positions[:, 0], PATH[:8], atol=1e-5)
    (wanted,) = read_motion_file(amass(tmp_path / "amass.npz"))
    np.testing.assert_allclose(second.rotations, wanted.rotations[:8], atol=1e-5)
    for length in range(2, len(whole) - 1, 97):
        (tmp_path / "cut.pkl").write_bytes(whole[:length])
        with pytest.raises(MotionFileError):
            read_motion_file(tmp_path / "cut.pkl")
    (tmp_path / "small.pkl").write_bytes(zlib.compress(whole))
    with pytest.raises(MotionFileError, match="compressed"):
        read_motion_file(tmp_path / "small.pkl")


def test_legacy_files_are_told_what_to_do(tmp_path: Path) -> None:
    torch.save({"poses": torch.zeros(4, 72)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(MotionFileError, match="older than"):
        read_motion_file(tmp_path / "old.pt")


def test_own_clips_and_other_arrays_are_told_apart(tmp_path: Path) -> None:
    write_clip(WALK, tmp_path / "own.npz")
    assert is_clip_file(tmp_path / "own.npz")
    assert not is_clip_file(amass(tmp_path / "amass.npz"))
    (tmp_path / "broken.npz").write_bytes(b"PK")
    assert is_clip_file(tmp_path / "broken.npz")


def test_an_ordered_dictionary_of_tensors_is_read(tmp_path: Path) -> None:
    flat = torch.nn.Parameter(torch.tensor(POSE.reshape(FRAMES, -1)))
    torch.save(OrderedDict(poses=flat, trans=torch.tensor(PATH), fps=30), tmp_path / "take.pt")
    (found,) = read_motion_file(tmp_path / "take.pt")
    assert len(found) == FRAMES
    assert found.fps == pytest.approx(30.0)


def test_mhr_joints_are_known_and_others_need_names(tmp_path: Path) -> None:
    rots, places = np.broadcast_to(np.eye(3), (5, 127, 3, 3)), np.random.default_rng(0).normal(size=(5, 127, 3))
    np.savez(tmp_path / "mhr.npz", pred_global_rots=rots, pred_joint_coords=places, fps=25.0)
    (found,) = read_motion_file(tmp_path / "mhr.npz")
    assert found.names == MHR_JOINTS
    assert not found.has_rest
    assert found.fps == pytest.approx(25.0)
    np.savez(tmp_path / "other.npz", pred_global_rots=rots[:, :77], pred_joint_coords=places[:, :77])
    with pytest.raises(MotionFileError, match="77 joints without names"):
        read_motion_file(tmp_path / "other.npz")


@pytest.mark.parametrize("style", ["mixamo", "lafan", "soma"])
def test_bvh_of_each_tool_is_read(tmp_path: Path, style: str) -> None:
    (tmp_path / "take.bvh").write_text(bvh_text(WALK, style))
    (found,) = read_motion_file(tmp_path / "take.bvh")
    assert len(found) == FRAMES
    assert len(found.names) == 22
