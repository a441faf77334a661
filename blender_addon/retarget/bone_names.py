"""Bone names taken apart: side, words, number, whatever the tool's separators, prefixes and language.

May import the standard library, `motion` (data folder) and its own room only. Words live in `bone_words.json`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache

from ..motion.body import SKELETON_MAPS_DIR

# a camel-case hump, a run of capitals, a lower-case word, digits, or a run of other letters (kana, cyrillic ...)
_TOKEN = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_a-zA-Z]+")


@dataclass(frozen=True, slots=True)
class BoneName:
    """A name taken apart: `side` is "left", "right" or ""; `word` the joined rest in lower case; `numbers` in order."""

    side: str
    word: str
    words: tuple[str, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BoneWords:
    """The vocabulary: words by joint kind, ambiguous words, fingers, side words, words to skip and to shun."""

    joints: dict[str, frozenset[str]]
    arm_any: frozenset[str]
    leg_any: frozenset[str]
    fingers: dict[str, frozenset[str]]
    sides: dict[str, str]
    ignore: frozenset[str]
    exclude: frozenset[str]

    def known(self, word: str) -> bool:
        """Whether a word names a joint or a finger."""
        groups = [*self.joints.values(), self.arm_any, self.leg_any, *self.fingers.values()]
        return any(word in group for group in groups)


@cache
def bone_words() -> BoneWords:
    """The words of `bone_words.json`."""
    record = json.loads((SKELETON_MAPS_DIR / "bone_words.json").read_text(encoding="utf-8"))
    return BoneWords(
        joints={joint: frozenset(words) for joint, words in record["joints"].items()},
        arm_any=frozenset(record["arm_any"]),
        leg_any=frozenset(record["leg_any"]),
        fingers={finger: frozenset(words) for finger, words in record["fingers"].items()},
        sides={word: side for side, words in record["sides"].items() for word in words},
        ignore=frozenset(record["ignore"]),
        exclude=frozenset(record["exclude"]),
    )


def plain_name(name: str, prefixes: tuple[str, ...] = ()) -> str:
    """A name without namespace (`rig:`, `a|b|`) and without the first prefix (a regular expression) that fits."""
    bare = re.split(r"[:|]", name)[-1] or name
    for prefix in prefixes:
        match = re.match(prefix, name) or re.match(prefix, bare)
        if match and match.end() < len(match.string):
            return match.string[match.end() :]
    return bare


@cache
def read_name(name: str) -> BoneName:
    """Take a bone name apart."""
    vocabulary = bone_words()
    side, words, numbers = "", [], []
    for token in _tokens(plain_name(name)):
        if token.isdigit():
            numbers.append(int(token))
        elif token in vocabulary.sides and not side:
            side = vocabulary.sides[token]
        elif token not in vocabulary.ignore or vocabulary.known(token):
            words.append(token)
    if not side and words:
        side, words = _glued_side(words, vocabulary)
    return BoneName(side, "".join(words), tuple(words), tuple(numbers))


def _tokens(name: str) -> list[str]:
    tokens = []
    for token in _TOKEN.findall(name):
        lower = token.lower()
        if len(lower) > 1 and lower[0] in "左右":
            tokens += [lower[0], lower[1:]]
        else:
            tokens.append(lower)
    return tokens


def _glued_side(words: list[str], vocabulary: BoneWords) -> tuple[str, list[str]]:
    """A side letter grown onto a known word: `lshoulder`, `upperarml`."""
    joined = "".join(words)
    if vocabulary.known(joined) or joined in vocabulary.exclude:
        return "", words
    for length in (5, 4, 1):
        for head, rest in ((joined[:length], joined[length:]), (joined[-length:], joined[:-length])):
            if vocabulary.known(rest) and head in ("l", "r", "left", "right"):
                return vocabulary.sides[head], [rest]
    return "", words


def name_key(name: str, prefixes: tuple[str, ...] = ()) -> tuple[str, str, tuple[int, ...]]:
    """What two spellings of one name share: side, joined words and numbers (`UpperLeg.L` equals `left_upper_leg`)."""
    parts = read_name(plain_name(name, prefixes))
    return parts.side, parts.word, parts.numbers
