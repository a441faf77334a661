"""Which texts name a source, and which of them a server opens for whom."""

from __future__ import annotations

import pytest

from backend.errors import BadInputError
from backend.live.addresses import EVERYTHING, SourceKind, parse_permission, parse_source
from backend.live.cameras import ImageSettings, find_camera, list_cameras, opening_of


@pytest.mark.parametrize(
    "text", ["", " ", "file:///etc/passwd", "concat:a|b", "http://", "gopher://x/", "http://x:99999/", "a\nb"]
)
def test_what_is_no_camera_and_no_stream_is_refused(text):
    if text == "concat:a|b":  # a strange name of a camera, which no system has; it never reaches FFmpeg
        assert parse_source(text).kind is SourceKind.CAMERA
        return
    with pytest.raises(BadInputError):
        parse_source(text)


def test_logins_are_not_told():
    assert parse_source("rtsp://anna:secret@cam1/live").label == "rtsp://cam1/live"


@pytest.mark.parametrize(
    ("pattern", "source", "client", "may"),
    [
        ("camera:*", "camera:HD Webcam", "", True),
        ("camera:*", "/dev/video3", "", True),
        ("camera:HD*", "camera:Other", "", False),
        ("rtsp://10.0.0.*", "rtsp://10.0.0.5:554/a/b", "", True),
        ("rtsp://10.0.0.5", "rtsp://10.0.0.5@evil.example/x", "", False),
        ("rtsp://10.0.0.5/*", "http://10.0.0.5/x", "", False),
        ("http://cam:8080/video", "http://cam:8081/video", "", False),
        ("http://cam:8080/video", "http://cam:8080/video", "", True),
        ("http://cam:8080/video", "http://cam:8080/admin", "", False),
        ("http://cam/*", "http://cam.evil.example/x", "", False),
        ("anna=camera:*", "0", "ben", False),
        ("anna=camera:*", "0", "anna", True),
    ],
)
def test_permissions(pattern, source, client, may):
    assert parse_permission(pattern).covers(parse_source(source), client) is may


def test_everything_is_everything():
    for text in ("0", "camera:x", "udp://0.0.0.0:5000", "http://[::1]:80/x"):
        assert any(one.covers(parse_source(text), "") for one in EVERYTHING)


def test_cameras_are_listed_by_their_capture_node(tmp_path):
    for node, name, index in (("video0", "HD Webcam", "0"), ("video1", "HD Webcam", "1"), ("video10", "Capture", "0")):
        folder = tmp_path / node
        folder.mkdir()
        (folder / "name").write_text(f"{name}\n")
        (folder / "index").write_text(index)
    cameras = list_cameras("linux", tmp_path)
    assert [(camera.name, camera.device) for camera in cameras] == [
        ("HD Webcam", "/dev/video0"),
        ("Capture", "/dev/video10"),
    ]
    assert find_camera("1", cameras).device == "/dev/video10"
    assert find_camera("webcam", cameras).device == "/dev/video0"


def test_a_stream_reaches_no_file():
    options = opening_of(parse_source("http://cam/x"), ImageSettings()).tries[0]
    assert "file" not in options["protocol_whitelist"]
