"""The index page of a batch: one HTML file with everything in it, for the person who opens it in the morning.

May import stdlib and `backend.batch`. No script is needed to read it; the one that is there filters the cards.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import PurePosixPath
from string import Template
from typing import Final
from urllib.parse import quote

from backend.batch.html_template import PAGE
from backend.batch.records import DONE, FAILED, RUNNING, STOPPED, WAITING, ClipRecord
from backend.batch.solve_cache import CachedThumbnail, read_thumbnail
from backend.batch.storage import Storage
from backend.batch.tasks import OutputKind
from blender_addon.motion.clip_warning import WarningCode
from blender_addon.motion.quality_labels import FIGURES
from blender_addon.motion.quality_words import grade


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the page says of the run as a whole."""

    title: str
    version: str
    elapsed_s: float
    finished: bool


# said of nearly every video: shown, but not what tells one clip from another
_COMMON: Final = (WarningCode.CAMERA_ASSUMED,)
_BADGES: Final = {DONE: "done", FAILED: "failed", RUNNING: "running", STOPPED: "not begun", WAITING: "waiting"}


def render_page(records: Sequence[ClipRecord], facts: RunFacts, storage: Storage) -> str:
    """The page's HTML: failures first, then what wants a look, then the rest in the order given."""
    ordered = sorted(records, key=_urgency)
    cards = "\n".join(_card(record, storage) for record in ordered)
    return Template(PAGE).substitute(
        title=escape(facts.title),
        subtitle=escape(_subtitle(facts)),
        tiles=_tiles(records, facts),
        failures=_failures([record for record in ordered if record.status == FAILED]),
        cards=cards,
        refresh="" if facts.finished else '<meta http-equiv="refresh" content="30">',
    )


def needs_review(record: ClipRecord) -> bool:
    """Whether a finished clip has warnings or a figure outside its range."""
    return any(warning.code not in _COMMON for warning in record.warnings) or _bad_figures(record) > 0


def _bad_figures(record: ClipRecord) -> int:
    return sum(figure.name in record.figures and figure.is_bad(record.figures[figure.name]) for figure in FIGURES)


def _urgency(record: ClipRecord) -> int:
    if record.status == FAILED:
        return 0
    if record.status != DONE:
        return 1
    return 10 - _bad_figures(record) if needs_review(record) else 11


def _subtitle(facts: RunFacts) -> str:
    when = time.strftime("%Y-%m-%d %H:%M")
    state = "finished" if facts.finished else "still running; this page renews itself"
    return f"{when} · {state} · {_clock(facts.elapsed_s)} · Marionet {facts.version}"


def _tiles(records: Sequence[ClipRecord], facts: RunFacts) -> str:
    done = [record for record in records if record.status == DONE]
    failed = sum(record.status == FAILED for record in records)
    reused = sum(record.reused for record in records)
    video_s = sum(float(record.facts.get("seconds of video", 0.0)) for record in done)
    frames = sum(int(record.facts.get("frames", 0)) for record in done if not record.reused)
    looks = sum(needs_review(record) for record in done)
    tiles = [
        ("done", f"{len(done)} of {len(records)}", f"{reused} of them by an earlier run" if reused else "clips done"),
        ("failed" if failed else "", str(failed), "failed"),
        ("look" if looks else "", str(looks), "want a look"),
        ("", _clock(video_s), "of video"),
        ("", f"{frames / facts.elapsed_s:.1f}" if facts.elapsed_s > 1.0 else "–", "frames a second"),
    ]
    return "".join(
        f'<div class="tile {kind}"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for kind, value, label in tiles
    )


def _failures(failed: Sequence[ClipRecord]) -> str:
    if not failed:
        return ""
    rows = "".join(
        f'<tr><td><a href="#{_anchor(record)}">{escape(_title(record))}</a></td><td>{_faults(record)}</td></tr>'
        for record in failed
    )
    return f'<section class="failures"><h2>Failed: {len(failed)}</h2><table>{rows}</table></section>'


def _faults(record: ClipRecord) -> str:
    faults = record.faults or ((record.fault,) if record.fault is not None else ())
    return "".join(
        f'<p><b>{escape(fault.message)}</b> <span class="remedy">{escape(fault.remedy)}</span></p>' for fault in faults
    )


def _card(record: ClipRecord, storage: Storage) -> str:
    look = record.status == DONE and needs_review(record)
    kind = "look" if look else record.status
    video = _video(record, storage)
    parts = [
        video,
        '<div class="body">',
        f'<h3>{escape(_title(record))} <span class="badge {kind}">{_badge(record, look)}</span></h3>',
        f'<p class="source" title="{escape(record.source)}">{escape(_source(record))}</p>',
        f'<div class="reasons">{_faults(record)}</div>' if record.status != DONE and record.fault is not None else "",
        _figures(record),
        _cameras(record),
        "".join(f'<p class="warning">{escape(warning.text)}</p>' for warning in record.warnings),
        _links(record),
        _details(record),
        "</div>",
    ]
    shape = kind if video else f"{kind} bare"
    return f'<article class="card {shape}" id="{_anchor(record)}" data-kind="{kind}">{"".join(parts)}</article>'


def _title(record: ClipRecord) -> str:
    """The name without the folder that is called the same."""
    path = PurePosixPath(record.base)
    return str(path.parent) if path.parent.name == path.name else record.base


def _badge(record: ClipRecord, look: bool) -> str:
    return "look here" if look else _BADGES.get(record.status, record.status)


def _source(record: ClipRecord) -> str:
    facts = record.facts
    names = [PurePosixPath(video.replace("\\", "/")).name for video in record.videos or (record.source,)]
    words = [", ".join(names)]
    if record.range:
        words.append(f"range {record.range}")
    if "seconds of video" in facts:
        words.append(f"{float(facts['seconds of video']):.1f} s")
    if "frames" in facts:
        words.append(f"{facts['frames']} frames at {float(facts.get('fps', 0)):.4g}/s")
    if int(facts.get("people", 1)) > 1:
        words.append(f"{facts['people']} people")
    if record.rig:
        words.append(f"on {PurePosixPath(record.rig).stem}")
    if record.reused:
        words.append("by an earlier run")
    return " · ".join(words)


def _video(record: ClipRecord, storage: Storage) -> str:
    kept = read_thumbnail(storage, record.solve_key) if record.solve_key else None
    thumbnail = kept or CachedThumbnail("", ())
    stills = "".join(f'<img alt="" src="data:image/jpeg;base64,{image}">' for image in thumbnail.images)
    if not thumbnail.video:
        return f'<div class="video none">{stills}</div>' if stills else ""
    poster = f'poster="data:image/jpeg;base64,{thumbnail.images[0]}"' if thumbnail.images else ""
    source = f"data:video/mp4;base64,{thumbnail.video}"
    video = f'<video controls loop muted playsinline preload="metadata" {poster} src="{source}"></video>'
    return f'<div class="video">{video}<div class="stills">{stills}</div></div>'


def _figures(record: ClipRecord) -> str:
    cells = []
    for figure in FIGURES:
        if figure.name in record.figures:
            value = record.figures[figure.name]
            kind = "bad" if figure.is_bad(value) else ""
            graded = grade(figure.name, value)
            label = figure.label if graded is None else f"{figure.label}: {graded.value}"
            cells.append(f'<div class="{kind}"><b>{figure.number(value)}</b> {figure.unit}<span>{label}</span></div>')
    return f'<div class="figures">{"".join(cells)}</div>' if cells else ""


def _cameras(record: ClipRecord) -> str:
    """A row for each camera of a take."""
    if not record.cameras:
        return ""
    head = "<tr><th>camera</th><th>starts</th><th>focal length</th><th>rotation</th><th>keypoints off</th></tr>"
    rows = []
    for camera in record.cameras:
        name = escape(PurePosixPath(camera.video.replace("\\", "/")).name)
        if camera.used:
            cells = (
                f"{camera.start_s:+.3f} s",
                f"{camera.focal_px:.0f} px (±{100 * camera.focal_share:.0f} %)",
                f"±{camera.rotation_deg:.1f}°",
                f"{camera.reprojection_px:.1f} px",
            )
            rows.append(f"<tr><td>{name}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
        else:
            rows.append(f'<tr><td>{name}</td><td colspan="4">left out</td></tr>')
    return f'<table class="cameras">{head}{"".join(rows)}</table>'


def _links(record: ClipRecord) -> str:
    links = [
        f'<a href="{quote(output.name)}">{escape(OutputKind(output.kind).label)} <span>{_size(output.bytes)}</span></a>'
        for output in record.outputs
        if output.kind
    ]
    return f'<p class="links">{"".join(links)}</p>' if links else ""


def _details(record: ClipRecord) -> str:
    lines = [f"{name}: {value}" for name, value in record.facts.items()]
    lines += [f"{step}: {seconds:.1f} s" for step, seconds in record.seconds.items()]
    if record.attempts > 1:
        lines.append(f"attempts: {record.attempts}")
    lines += list(record.lines)
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<details><summary>the whole account</summary><ul>{items}</ul></details>"


def _anchor(record: ClipRecord) -> str:
    return "clip-" + quote(record.base, safe="").replace("%", "-")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.0f} kB"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.0f} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min" if whole >= 3600 else f"{whole // 60} min {whole % 60:02} s"
