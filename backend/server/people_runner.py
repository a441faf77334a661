"""The task "people": who is in a video, as a contact sheet and a list. May import `backend.solving`, `video`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from backend.people.networks import PeopleNetworks
from backend.server.job_runner import JobOutcome, JobSink
from backend.server.worker_protocol import RunJob
from backend.solving.people_listing import PeopleListingRequest, find_everyone, summarise, write_sheet
from backend.solving.request import SolveQuality
from backend.video import FrameRange, VideoOptions

SHEET_NAME, LIST_NAME = "people.png", "people.json"


def find_people(order: RunJob, sink: JobSink, device: str, networks: PeopleNetworks) -> JobOutcome:
    """Carry out an order to look who is there, with loaded networks of the order's quality."""
    options = order.options
    request = PeopleListingRequest(
        Path(order.source),
        VideoOptions(range=FrameRange(options.start_s, options.end_s), sequence_fps=options.sequence_fps),
        SolveQuality(options.quality),
        device,
        options.max_people,
        order.max_frames,
    )
    tracks = find_everyone(request, sink.progress, sink.cancel, networks)
    sheet, listed = Path(order.output_dir) / SHEET_NAME, Path(order.output_dir) / LIST_NAME
    write_sheet(request, tracks, sheet)
    rows = [asdict(summarise(place, track)) for place, track in enumerate(tracks)]
    listed.write_text(json.dumps(rows), encoding="utf-8")
    return JobOutcome((sheet, listed), {"people": float(len(tracks))})
