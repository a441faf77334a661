"""`solve` on the command line with every kind of bad input: the exit code, and a message that says what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from backend.cli import main
from blender_addon.motion.clip import read_clip

ROOT = Path(__file__).parents[2]


def refused(capsys, *arguments: object) -> dict[str, object]:
    """Run `solve` with JSON events; its error event, checked to be complete."""
    code = main(["solve", *map(str, arguments), "--json", "--device", "cpu", "--quality", "fast"])
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert event["event"] == "error"
    assert event["exit_code"] == code
    assert event["message"]
    assert event["remedy"]
    return event


@pytest.fixture
def output(tmp_path) -> Path:
    return tmp_path / "clip.npz"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere.mp4", None, "no file"),
        ("empty.mp4", b"", "is empty"),
        ("notes.mp4", b"these are the notes of the shoot\n" * 200, "not a video"),
        ("cut.mp4", b"\x00\x00\x00\x18ftypisom" + bytes(3000), "cut off"),
    ],
)
def test_files_that_are_no_video(capsys, tmp_path, output, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    event = refused(capsys, tmp_path / name, "-o", output)
    assert (event["exit_code"], event["code"]) == (3, "video")
    assert message in event["message"]
    assert not output.exists()


def test_sound_only(capsys, tmp_path, output):
    with av.open(str(tmp_path / "song.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    event = refused(capsys, tmp_path / "song.mp4", "-o", output)
    assert event["exit_code"] == 3
    assert "sound but no image" in event["message"]


def test_encrypted(capsys, tmp_path, output, walk):
    keys = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "00" * 16, "encryption_kid": "11" * 16}
    with av.open(str(walk.video)) as source, av.open(str(tmp_path / "video.mp4"), "w", options=keys) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    event = refused(capsys, tmp_path / "video.mp4", "-o", output)
    assert event["exit_code"] == 3
    assert "encrypted" in event["message"]


def test_nobody_in_the_video(capsys, output, write_images):
    video = write_images("wall.mp4", [np.full((120, 160, 3), 120, np.uint8)] * 6)
    event = refused(capsys, video, "-o", output)
    assert (event["exit_code"], event["code"]) == (4, "no_person")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--range", "8:8"), "holds no frame"),
        (("--range", "900:950"), "holds no frame of demo_clip.mp4"),
        (("--range", "soon"), "is not a range"),
        (("--height", "18"), "out of range"),
        (("--fov", "400"), "out of range"),
        (("--gravity", "down"), "not a direction"),
        (("--person", "nobody"), "unknown person"),
        (("--slow-motion", "0"), "slow-motion"),
        (("--slow-motion", "inf"), "slow-motion"),
        (("--fps", "nan"), "not a frame rate"),
        (("--fps", "0"), "not a frame rate"),
        (("--range", "nans:5s"), "neither a frame number nor seconds"),
        (("--range", "0:01:0:02"), "is not a range"),
        (("--camera", "left"), "of no file"),
        (("--calibration", "nowhere.json"), "no calibration file"),
    ],
)
def test_arguments_that_make_no_sense(capsys, walk, output, option, message):
    event = refused(capsys, walk.video, "-o", output, *option)
    assert (event["exit_code"], event["code"]) == (2, "bad_input")
    assert message in event["message"]


def test_outputs_that_cannot_be_written(capsys, walk, tmp_path, output):
    for arguments in (["-o", tmp_path / "no" / "clip.npz"], ["-o", output, "--overlay", tmp_path / "no" / "o.mp4"]):
        event = refused(capsys, walk.video, *arguments)
        assert (event["exit_code"], event["code"]) == (6, "output")
        assert "no folder" in event["message"]
    for arguments in (["-o", tmp_path / f"{'a' * 250}.npz"], ["-o", output, "--plot", tmp_path / f"{'a' * 252}.png"]):
        event = refused(capsys, walk.video, *arguments)
        assert "File name too long" in event["message"]


@pytest.mark.parametrize("option", ["--overlay", "--sheet", "--plot"])
def test_a_video_is_not_written_over_and_no_output_replaces_another(capsys, tmp_path, walk, option):
    kind = {"--overlay": ".mp4", "--sheet": ".png", "--plot": ".png"}[option]
    video = tmp_path / f"video{kind}"
    video.write_bytes(walk.video.read_bytes())
    try:
        (tmp_path / f"link{kind}").symlink_to(video)
    except OSError:  # Windows lets developers alone make these; a hard link names the same file as well
        os.link(video, tmp_path / f"link{kind}")
    for name in ("video", "link"):
        image = tmp_path / f"{name}{kind}"
        event = refused(capsys, video, "-o", tmp_path / "a.npz", "--quality", "fast", option, image)
        assert (event["exit_code"], event["message"]) == (6, f"{image} is the video itself")
    wrong = tmp_path / "a.npz"
    assert "does not end in" in refused(capsys, walk.video, "-o", wrong, option, wrong)["message"]
    assert video.read_bytes() == walk.video.read_bytes()


def test_two_outputs_of_one_name_and_the_images_of_a_sequence(capsys, tmp_path, walk):
    one = tmp_path / "one.png"
    event = refused(capsys, walk.video, "-o", tmp_path / "a.npz", "--sheet", one, "--plot", tmp_path / "." / "one.png")
    assert "is named for two outputs" in event["message"]
    folder = tmp_path / "shot"
    folder.mkdir()
    cv2.imwrite(str(folder / "shot_1.png"), np.zeros((64, 64, 3), np.uint8))
    before = (folder / "shot_1.png").read_bytes()
    assert main(["tracks", str(folder), "--sheet", str(folder / "shot_1.png")]) == 6
    assert "is the video itself" in capsys.readouterr().err
    assert (folder / "shot_1.png").read_bytes() == before


def test_two_frames_are_too_few(capsys, walk, output):
    event = refused(capsys, walk.video, "-o", output, "--quality", "fast", "--range", ":2")
    assert (event["exit_code"], event["remedy"]) == (4, "Solve at least 3 frames")
    assert not output.with_name(output.name + ".partial").exists()


def test_a_device_that_is_not_there(capsys, walk, output):
    assert main(["solve", str(walk.video), "-o", str(output), "--device", "cuda:77", "--json"]) == 7
    assert "cuda:77" in capsys.readouterr().out


def test_a_truncated_video_is_solved_as_far_as_it_goes(capsys, tmp_path, output, walk):
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    with av.open(str(walk.video)) as source, av.open(str(whole), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    assert main(["solve", str(cut), "-o", str(output), "--device", "cpu", "--quality", "fast", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any("ends early" in event["message"] for event in events if event["event"] == "warning")
    clip = read_clip(output)
    assert 20 <= len(clip) < 96
    assert any(warning.code == "video_damaged" and "ends early" in warning.text for warning in clip.header.warnings)


@pytest.mark.skipif(os.name == "nt", reason="signals of other systems")
def test_ctrl_c_keeps_what_is_done(tmp_path, output, walk_images, write_images):
    video = write_images("long.mp4", walk_images * 12)
    command = [sys.executable, "-m", "backend", "solve", str(video), "-o", str(output), "--quality", "fast", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        for line in child.stdout:
            event = json.loads(line)
            if event["event"] == "progress" and event["done"] > 8:
                child.send_signal(signal.SIGINT)
                break
        events = [json.loads(line) for line in child.stdout]
    assert child.returncode == 130
    result = next(event for event in events if event["event"] == "result")
    assert result["cancelled"]
    assert 8 < len(read_clip(output)) < 12 * 24
    assert output.with_name("clip.npz.partial").is_dir()


def test_images_are_written_on_request(capsys, tmp_path, output, walk):
    images = [tmp_path / name for name in ("o.mp4", "s.png", "p.png")]
    options = [str(item) for pair in zip(("--overlay", "--sheet", "--plot"), images, strict=True) for item in pair]
    code = main(["solve", str(walk.video), "-o", str(output), "--range", ":10", "--quality", "fast", *options])
    assert code == 0
    out = capsys.readouterr().out
    assert "foot_skate_m_s" in out
    assert "frames/s" in out
    assert all(path.stat().st_size > 2000 and str(path) in out for path in images)
    with av.open(str(images[0])) as overlay:
        times = [frame.pts * frame.time_base for frame in overlay.decode(video=0)]
    assert max(abs(t - Fraction(i * 1001, 24000)) for i, t in enumerate(times)) < Fraction(1, 45000)
