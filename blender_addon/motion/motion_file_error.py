"""The error of a motion file that cannot be used. Standard library only."""

from __future__ import annotations


class MotionFileError(ValueError):
    """A motion from elsewhere that cannot be used: `message` names the file and the fault, `remedy` what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}. {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy
