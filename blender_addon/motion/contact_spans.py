"""Contacts as spans of time: what a person edits on a timeline. May import numpy and its own room only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .clip import MotionClip
from .contacts import ContactSettings, planted_frames, true_runs

# for each of `posing.FOOT_POINTS`, and of `CONTACT_PARTS` where they are known, the spans in which it stands or rests:
# first and last time in s
ContactSpans = tuple[tuple[tuple[float, float], ...], ...]
_SLACK_S = 1e-4


def contact_spans(clip: MotionClip, contacts: ContactSettings) -> ContactSpans:
    """The spans in which the clip's foot points stand and its body's parts rest, from its contact probabilities."""
    parts = np.zeros((len(clip), 0)) if clip.body_contacts is None else clip.body_contacts
    every = np.concatenate([clip.contacts, parts], axis=1)
    planted = planted_frames(clip.times_s, np.nan_to_num(every, nan=0.0), contacts)
    times_s = clip.times_s
    return tuple(
        tuple((float(times_s[first]), float(times_s[last])) for first, last in true_runs(planted[:, point]))
        for point in range(planted.shape[1])
    )


def with_contact_spans(clip: MotionClip, spans_s: ContactSpans) -> MotionClip:
    """The clip whose foot points and parts stand and rest in these spans, both ends included, and at no other time.

    Spans of the foot points alone leave the parts as they are.
    """
    contacts = np.zeros((len(clip), len(spans_s)), clip.contacts.dtype)
    for point, spans in enumerate(spans_s):
        for first_s, last_s in spans:
            inside = (clip.times_s >= first_s - _SLACK_S) & (clip.times_s <= last_s + _SLACK_S)
            contacts[inside, point] = 1.0
    feet = clip.contacts.shape[1]
    parts = contacts[:, feet:] if len(spans_s) > feet else clip.body_contacts
    return replace(clip, contacts=contacts[:, :feet], body_contacts=parts)
