"""A live capture from its first image to its clip: the table of contents of this package.

One frame's way: `grabber` has the newest image, `follower` the person's landmarks, `causal_poses` the pose,
`smoothing` calms it, `placing` stands it on the floor that `calibration` found; `pose_log` and `recorder` keep it.
May import everything of `backend` below `live`.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import deque
from pathlib import Path
from typing import Final

import numpy as np

from backend.camera import choose_intrinsics
from backend.embedding.augmented_views import ALL_VIEWS, TWO_VIEWS
from backend.keypoint_layouts import HUMAN36M
from backend.live.calibration import Calibration, Calibrator
from backend.live.causal_poses import CausalPose, CausalPoses, CausalSettings
from backend.live.control import LiveControl
from backend.live.follower import Follower
from backend.live.grabber import Captured, Grabber, GrabberSettings
from backend.live.placing import PlacedPose, Placer
from backend.live.pose_log import PoseLog, SharedFacts, SolvedRow, clip_from_log, has_log
from backend.live.recorder import Recorder
from backend.live.request import LiveCallback, LivePose, LiveRates, LiveRequest, LiveResult, LiveState
from backend.live.smoothing import PoseSmoother, SmoothPose
from backend.people.options import PeopleOptions, Selection
from backend.solving.models import ASSUMED_HEIGHT_M, SolveModels
from backend.solving.request import SolveQuality
from backend.types import Frame, PersonTrack, VideoInfo
from blender_addon.motion.body import canonical_body

log = logging.getLogger(__name__)
CLIP_NAME, RECORDING_NAME = "live.npz", "recording.mkv"
_WAIT_S: Final = 0.1
_TELL_EVERY_S: Final = 0.5
_RATE_FRAMES: Final = 60
_SEARCH_EVERY_S: Final = 2.0


def run_live(request: LiveRequest, models: SolveModels, on_pose: LiveCallback, control: LiveControl) -> LiveResult:
    """Capture until `control.stop`; `on_pose` gets every solved frame, and twice a second why there is none.

    Stopping takes less than a second. Raises VideoError where the source cannot be opened, OutputError where the
    recording cannot be made.
    """
    session = _Session(request, models, on_pose, control)
    try:
        session.run()
    finally:
        result = session.close()
    return result


class _Session:
    def __init__(self, request: LiveRequest, models: SolveModels, on_pose: LiveCallback, control: LiveControl) -> None:
        self._request, self._models, self._on_pose, self._control = request, models, on_pose, control
        self._recorder = Recorder()
        self._placer = Placer()
        self._smoother = PoseSmoother(request.smoothing)
        self._calibrator = Calibrator(request.calibration)
        self._calibration: Calibration | None = None
        self._poses: CausalPoses | None = None
        self._follower: Follower | None = None
        self._log: PoseLog | None = None
        self._number = 0
        self._told_s = -np.inf
        self._solved_s: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._came_s: deque[tuple[float, int]] = deque(maxlen=_RATE_FRAMES)
        self._latency_s = 0.0
        self._solved = 0
        self._warnings: list[str] = []
        self._last: PersonTrack | None = None

    # -- the loop -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until stopped."""
        if self._request.record:
            self._begin_recording()
        settings = GrabberSettings(self._request.image, self._request.stall_s)
        with Grabber(self._request.source, settings, self._recorder) as grabber:
            self._grabber = grabber
            while not self._control.stopping:
                if self._control.take_record() and not self._recorder.is_recording:
                    self._begin_recording()
                taken = grabber.take(_WAIT_S)
                if taken is None:
                    self._tell_why(grabber)
                else:
                    self._take(*taken)

    def _take(self, frame: Frame, captured: Captured) -> None:
        self._came_s.append((captured.time_s, captured.index))
        if self._follower is None:
            self._prepare(frame)
        assert self._follower is not None
        assert self._poses is not None
        track = self._follower.update(frame)
        if track is None:
            if self._last is not None:
                self._poses.reset()
                self._smoother.reset()
            self._last = None
            self._tell_without(frame, captured)
            return
        self._last = track
        pose = self._poses.solve(track)
        smooth = SmoothPose(pose.rotations_wxyz, pose.root_m, pose.joints_m)
        if self._request.smoothing is not None:
            smooth = self._smoother.update(pose.rotations_wxyz, pose.root_m, pose.joints_m, pose.time_s)
        self._calibrate(track, pose)
        placed = self._placer.place(smooth, self._poses.shape, pose.time_s)
        self._keep(track, pose, smooth, placed)
        self._tell(pose, smooth, placed, captured)

    def _prepare(self, frame: Frame) -> None:
        """What depends on the size of the images."""
        height, width = frame.image.shape[:2]
        self._width_px, self._height_px = width, height
        info = VideoInfo(Path(), width, height, 30.0, 0.0, 0, self._grabber.codec, 0, False)
        self._intrinsics = choose_intrinsics(info, self._request.camera)
        fast = self._request.quality is SolveQuality.FAST
        options = PeopleOptions(
            quality=self._request.quality.landmark_network,
            max_people=self._request.max_people,
            selection=Selection(frame_px=(width, height)),
            search_interval_s=_SEARCH_EVERY_S,
            mirror=False,
            device=self._models.device,
            threads=1,
        )
        self._follower = Follower(options, self._models.people)
        settings = CausalSettings(
            height_m=self._request.height_m or ASSUMED_HEIGHT_M,
            views=TWO_VIEWS if fast else ALL_VIEWS,
            iterations=2 if fast else 4,
        )
        self._poses = CausalPoses(self._models.poses, self._intrinsics, settings)

    def _calibrate(self, track: PersonTrack, pose: CausalPose) -> None:
        if self._calibration is not None or self._poses is None:
            return
        self._calibrator.add(track, pose)
        if not self._calibrator.is_due:
            return
        self._calibration = found = self._calibrator.calibrate(self._intrinsics, self._poses.shape)
        self._poses.fix_body(found.proportions)
        self._placer.fix(found.world_from_camera)
        self._warnings += found.warnings
        self._share()

    # -- keeping --------------------------------------------------------------------------------------------------

    def _begin_recording(self) -> None:
        path = self._request.recording or self._request.folder / RECORDING_NAME
        self._recorder.begin(path)
        self._log = PoseLog(self._request.folder)
        if self._poses is not None:
            self._share()

    def _keep(self, track: PersonTrack, pose: CausalPose, smooth: SmoothPose, placed: PlacedPose) -> None:
        if self._log is None:
            return
        lift_m = placed.lift_m if self._calibration is not None else 0.0
        figures = pose.confidence, pose.score, pose.margin, lift_m
        try:
            self._log.add(SolvedRow(pose.time_s, smooth, track.keypoints_px[-1], track.visibility[-1], figures))
            if self._log.count == 1:
                self._share()
        except OSError as fault:
            self._warnings.append(f"the poses could not be kept ({fault.strerror})")
            self._log = None

    def _share(self) -> None:
        """Write what a clip of the log needs to know."""
        if self._log is None or self._poses is None or self._placer.world_from_camera is None:
            return
        self._log.share(
            SharedFacts(
                source=self._request.source.label,
                width_px=self._width_px,
                height_px=self._height_px,
                height_m=self._poses.shape.height_m,
                height_source="assumed" if self._request.height_m is None else "given",
                intrinsics=np.asarray(self._intrinsics.matrix).tolist(),
                intrinsics_source=self._intrinsics.source,
                world_from_camera=self._placer.world_from_camera.tolist(),
                bone_scales=np.asarray(self._poses.shape.bone_scales).tolist(),
                model=self._models.poses.without_temporal().name,
                quality=self._request.quality.value,
                warnings=list(self._warnings),
            )
        )

    def close(self) -> LiveResult:
        """End the recording and make the clip."""
        self._recorder.close()
        if self._follower is not None:
            self._follower.__exit__()
        if self._recorder.fault:
            self._warnings.append(self._recorder.fault)
        clip: Path | None = None
        if self._log is not None:
            self._log.close()
            if has_log(self._request.folder):
                clip = self._request.folder / CLIP_NAME
                source = str(self._recorder.parts[0]) if self._recorder.parts else ""
                clip_from_log(self._request.folder, clip, source)
        grabber = getattr(self, "_grabber", None)
        return LiveResult(
            clip=clip,
            recordings=tuple(self._recorder.parts),
            poses=self._solved,
            captured=grabber.captured if grabber else 0,
            dropped=grabber.dropped if grabber else 0,
            recorded=self._recorder.frames,
            warnings=tuple(dict.fromkeys(self._warnings)),
        )

    # -- telling --------------------------------------------------------------------------------------------------

    def _tell(self, pose: CausalPose, smooth: SmoothPose, placed: PlacedPose, captured: Captured) -> None:
        now_s = time.time()
        self._solved_s.append(now_s)
        self._solved += 1
        self._latency_s += (
            0.1 * (now_s - captured.arrived_unix_s - self._latency_s)
            if self._latency_s
            else (now_s - captured.arrived_unix_s)
        )
        state = LiveState.CALIBRATING if self._calibration is None else LiveState.LIVE
        self._send(
            LivePose(
                self._number,
                state,
                pose.frame_index,
                pose.time_s,
                captured.arrived_unix_s,
                placed.rotations_wxyz,
                placed.root_m,
                smooth.joints_m,
                pose.confidence,
                self._words(state),
            )
        )

    def _words(self, state: LiveState) -> str:
        if self._recorder.fault:
            return self._recorder.fault
        if state is LiveState.CALIBRATING:
            return f"Stand still, whole body in the image: {self._calibrator.remaining_s:.0f} s"
        people = self._follower.people if self._follower is not None else 1
        return f"{people} people are in sight; the largest at the start is followed" if people > 1 else ""

    def _tell_without(self, frame: Frame, captured: Captured) -> None:
        state = LiveState.SEARCHING if self._solved == 0 else LiveState.NO_PERSON
        words = "Step into the image" if self._solved == 0 else "The person is out of sight"
        self._send(
            dataclasses.replace(
                self._blank(state, words),
                frame_index=frame.index,
                time_s=frame.time_s,
                arrived_unix_s=captured.arrived_unix_s,
            )
        )

    def _tell_why(self, grabber: Grabber) -> None:
        now_s = time.monotonic()
        if grabber.is_up or now_s - self._told_s < _TELL_EVERY_S:
            return
        state = LiveState.OPENING if grabber.captured == 0 else LiveState.STALLED
        words = f"Opening {self._request.source.label}" if state is LiveState.OPENING else "No images"
        if grabber.fault is not None:
            words = str(grabber.fault)
        if state is LiveState.STALLED and self._last is not None and self._poses is not None:
            self._poses.reset()
            self._smoother.reset()
            self._last = None
        self._send(self._blank(state, words))

    def _blank(self, state: LiveState, words: str) -> LivePose:
        nothing = np.full((len(canonical_body().joint_names), 4), np.nan)
        time_s = time.monotonic() - self._grabber.began_s
        return LivePose(
            self._number,
            state,
            -1,
            time_s,
            time.time(),
            nothing,
            np.full(3, np.nan),
            np.full((HUMAN36M.count, 3), np.nan),
            0.0,
            words,
        )

    def _send(self, pose: LivePose) -> None:
        self._told_s = time.monotonic()
        recorded = self._recorder.frames if self._recorder.path is not None else -1
        self._on_pose(dataclasses.replace(pose, number=self._number, rates=self._rates(), recorded_frames=recorded))
        self._number += 1

    def _rates(self) -> LiveRates:
        now_s = time.time()
        recent = [at for at in self._solved_s if now_s - at < 2.0]
        fps = (len(recent) - 1) / max(now_s - recent[0], 1e-3) if len(recent) > 1 else 0.0
        source_fps = 0.0
        if len(self._came_s) > 1:
            (first_s, first), (last_s, last) = self._came_s[0], self._came_s[-1]
            source_fps = (last - first) / max(last_s - first_s, 1e-3)
        return LiveRates(fps, source_fps, self._latency_s, self._grabber.captured, self._grabber.dropped)
