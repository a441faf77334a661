"""A hundred thousand damaged messages against the codec: each is read or refused with a WireError, nothing else."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blender_addon.wire.codec import FROM_CLIENT, FROM_SERVER, Envelope, Registry, decode, request_id_of
from blender_addon.wire.errors import WireError
from tests.server.mutations import examples, mutants, replies


@pytest.mark.parametrize(
    ("seeds", "registry", "count"), [(examples(), FROM_CLIENT, 90_000), (replies(), FROM_SERVER, 20_000)]
)
def test_damaged_messages_are_read_or_refused(seeds: list[list[bytes]], registry: Registry, count: int) -> None:
    outcomes: Counter[str] = Counter()
    for frames in islice(mutants(seeds, seed=20151207), count):
        request_id_of(frames)
        try:
            envelope = decode(frames, registry)
            assert isinstance(envelope, Envelope)
            outcomes["read"] += 1
        except WireError as fault:
            outcomes[fault.code] += 1
    assert outcomes.total() == count
    assert {"read", "malformed", "version", "too_large", "unknown_kind"} <= set(outcomes), outcomes
    assert outcomes["malformed"] > count // 4


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_random_frames_are_refused(frames: list[bytes]) -> None:
    with pytest.raises(WireError):
        decode(frames, FROM_CLIENT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(sorted(FROM_CLIENT)),
    fields=st.dictionaries(st.sampled_from(["job_id", "source", "options", "token", "offset", "file"]), JSON),
)
def test_any_json_in_the_fields_is_read_or_refused(kind: str, fields: dict[str, object]) -> None:
    header = json.dumps({"kind": kind, "id": "1", "request": "", "fields": fields, "arrays": []}).encode()
    with suppress(WireError):
        assert decode([b"MRNT\1\0\0\0", header], FROM_CLIENT).message.kind == kind
