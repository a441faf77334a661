"""Watching the video once: decode, find cuts and camera motion, follow people, keep a checkpoint, offer previews.

May import `backend.video`, `backend.people`, `backend.camera`, `backend.solving.checkpoint` and `backend.types`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.camera import CameraMotionMeter
from backend.camera.edges import EdgeMeter, FrameSegments
from backend.camera.motion import BackgroundSample, camera_motion
from backend.camera.path import CameraPath
from backend.people.networks import PeopleNetworks
from backend.people.options import PeopleOptions
from backend.people.tracker import PeopleTracker
from backend.solving.checkpoint import Arrays, Checkpoint
from backend.types import Array, CancelToken, Frame, PersonTrack, Progress, ProgressCallback, arrays_below
from backend.video import CutDetector, VideoReader

STAGE: Final = "people"
_MOST_ON_THEIR_WAY: Final = 8  # frames that the tracker works on at once, and more
# videos in a room have 150 to 250; 255 x 0.2 is what is left of a white shirt at a fifth of the light
_DARK_LEVEL: Final = 50.0
_PAUSE_S: Final = 2.5  # longer than any gap that poses, paths and contacts are carried over
PreviewCallback = Callable[[PeopleTracker], None]


@dataclass(frozen=True, slots=True)
class TrackedVideo:
    """What one pass over the video learnt: all frames of the range, everyone's track, cuts, and the camera.

    frame_index (N,), times_s (N,); `stopped` where a cancel ended the pass early; `waited_s` for the decoder;
    `segments` are the straight edges of a few frames; `camera_path` how a moving camera turned, once it is followed;
    `bright_level` (0 to 255) how bright the brightest parts of the frames are.
    """

    frame_index: NDArray[np.intp]
    times_s: Array
    tracks: tuple[PersonTrack, ...]
    cuts_s: tuple[float, ...]
    camera_moves: bool
    stopped: bool
    waited_s: float
    segments: tuple[FrameSegments, ...] = ()
    camera_path: CameraPath | None = None
    bright_level: float = 255.0

    @property
    def is_dark(self) -> bool:
        """Whether even the brightest parts are darker than people can be followed in."""
        return self.bright_level < _DARK_LEVEL


def apart_at_cuts(track: PersonTrack, cuts_s: Sequence[float]) -> PersonTrack:
    """The track with times (T,) that leave a pause at each cut, so that nothing is smoothed or interpolated across one:
    whoever is found again after a cut goes on in the same track, as another camera shows them.
    """
    shots = np.searchsorted(np.asarray(cuts_s, np.float64), track.times_s, side="right")
    return replace(track, times_s=track.times_s + _PAUSE_S * shots)


@dataclass(frozen=True, slots=True)
class _ShotState:
    """What `_Shots` says of one frame, with its state after it: it runs ahead of what is followed and kept."""

    is_cut: bool
    state: Arrays


class _Shots:
    """Cuts and the camera's motion, found in the decoder's thread while the networks run."""

    def __init__(self) -> None:
        self._cuts = CutDetector()
        self._meter = CameraMotionMeter()
        self._edges = EdgeMeter()

    @property
    def segments(self) -> tuple[FrameSegments, ...]:
        return self._edges.segments()

    @property
    def bright_level(self) -> float:
        return self._edges.bright_level

    @property
    def samples(self) -> tuple[BackgroundSample, ...]:
        return self._meter.samples

    def look(self, frame: Frame) -> _ShotState:
        cut = self._cuts.update(frame)
        self._meter.update(frame, new_shot=cut)
        self._edges.update(frame)
        return _ShotState(cut, self.state())

    def state(self) -> Arrays:
        # neither part writes into its arrays, so what is handed out stays as it is
        arrays: Arrays = {f"cuts/{name}": value for name, value in self._cuts.state().items()}
        arrays |= {f"edges/{name}": value for name, value in self._edges.state().items()}
        return arrays | {f"camera/{name}": value for name, value in self._meter.state().items()}

    def restore(self, arrays: Arrays) -> None:
        self._cuts.restore(arrays_below(arrays, "cuts/"))
        self._meter.restore(arrays_below(arrays, "camera/"))
        self._edges.restore(arrays_below(arrays, "edges/"))


class VideoPass:
    """One pass over a video that can be interrupted, kept and continued with the same result."""

    def __init__(
        self,
        reader: VideoReader,
        checkpoint: Checkpoint,
        options: PeopleOptions,
        networks: PeopleNetworks,
    ) -> None:
        self._reader = reader
        self._checkpoint = checkpoint
        self._tracker = PeopleTracker(options, networks)
        self._shots = _Shots()
        self._shot_states = [_ShotState(False, self._shots.state())]
        self._frame_index: list[int] = []
        self._times_s: list[float] = []
        self._cuts_s: list[float] = []
        self._waited_s = 0.0

    def watch(self, progress: ProgressCallback, cancel: CancelToken, preview: PreviewCallback) -> TrackedVideo:
        """Go through the frames that are left. `preview` may look at the tracker after each frame.

        A cancel ends the pass early and is told in the result. Raises VideoError for an unreadable video,
        BadInputError for one with more frames than allowed.
        """
        self._restore()
        begun, start = time.monotonic(), len(self._times_s)
        expected = max(self._reader.expected_frames, start + 1)
        asked_at, stopped = begun, False
        with self._tracker:
            resumed_at = self._frame_index[-1] + 1 if start else 0
            for frame, shot_state in self._reader.studied_frames(self._shots.look, resumed_at, cancel):
                self._waited_s += time.monotonic() - asked_at
                self._take(frame, shot_state)
                done = len(self._times_s)
                rate = (done - start) / max(time.monotonic() - begun, 1e-6)
                progress(Progress(STAGE, done, max(expected, done), max(expected - done, 0) / rate))
                stopped = cancel.cancelled
                if stopped or self._checkpoint.is_due:
                    # before anything is flushed: a run that goes on from here is to see what an undisturbed one sees
                    self._checkpoint.save(self._state())
                if stopped:
                    break
                preview(self._tracker)
                asked_at = time.monotonic()
            stopped = stopped or cancel.cancelled
            self._tracker.flush()
            if not stopped:
                # what follows takes its time too; a run that is killed there need not watch the video again
                self._checkpoint.save(self._state())
            return self._tracked(stopped)

    def _take(self, frame: Frame, shot_state: _ShotState) -> None:
        self._shot_states.append(shot_state)
        del self._shot_states[:-_MOST_ON_THEIR_WAY]
        if shot_state.is_cut:
            self._cuts_s.append(frame.time_s)
            self._tracker.cut()
        self._tracker.update(frame)
        self._frame_index.append(frame.index)
        self._times_s.append(frame.time_s)

    def _tracked(self, stopped: bool) -> TrackedVideo:
        tracks = tuple(self._tracker.tracks())
        return TrackedVideo(
            frame_index=np.array(self._frame_index, np.intp),
            times_s=np.array(self._times_s, np.float64),
            tracks=tracks,
            cuts_s=tuple(self._cuts_s),
            camera_moves=camera_motion(self._shots.samples, tracks, self._reader.info.width).moves,
            stopped=stopped,
            waited_s=self._waited_s,
            segments=self._shots.segments,
            bright_level=self._shots.bright_level,
        )

    def _state(self) -> Arrays:
        """Everything about the frames that the tracker has finished; the few on their way are decoded again."""
        done = self._tracker.taken_in
        times_s = np.array(self._times_s[:done], np.float64)
        last_s = times_s[-1] if done else -np.inf
        arrays: Arrays = {
            "frame_index": np.array(self._frame_index[:done], np.int64),
            "times_s": times_s,
            "cuts_s": np.array([cut for cut in self._cuts_s if cut <= last_s], np.float64),
        }
        arrays |= {f"tracker/{name}": value for name, value in self._tracker.state().items()}
        return arrays | self._shot_states[done - len(self._times_s) - 1].state

    def _restore(self) -> None:
        arrays = self._checkpoint.load()
        if arrays is None:
            return
        self._frame_index = np.asarray(arrays["frame_index"], np.int64).tolist()
        self._times_s = np.asarray(arrays["times_s"], np.float64).tolist()
        self._cuts_s = np.asarray(arrays["cuts_s"], np.float64).tolist()
        self._tracker.restore(arrays_below(arrays, "tracker/"))
        self._shots.restore(arrays)
        self._shot_states = [_ShotState(False, self._shots.state())]
