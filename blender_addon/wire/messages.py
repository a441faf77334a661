"""Every message of the protocol, gathered: the version, and which side says what.

`kind` is the name on the wire. A field with a default is optional there; fields may be added with a default in a
minor version, anything else is a major one. docs/wire_protocol.md is the authority, and a test holds this room to it.
A new message is a class in `requests` or `replies`: the tuples here are made from these modules.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from . import replies, requests
from .records import *  # noqa: F403 -- every message and record is to be had from here
from .replies import *  # noqa: F403
from .requests import *  # noqa: F403

PROTOCOL_MAJOR = 1
PROTOCOL_MINOR = 5


def _messages_of(module: ModuleType) -> tuple[type[Any], ...]:
    """The message classes that a module defines, in its order."""
    own = (value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__)
    return tuple(value for value in own if isinstance(value, type) and hasattr(value, "kind"))


CLIENT_MESSAGES = _messages_of(requests)
SERVER_MESSAGES = _messages_of(replies)
