"""The errors a plugin may raise to tell a person something in one line."""

from __future__ import annotations


class PeftLabError(Exception):
    """Something a person can put right: what is wrong with the value, then, as ``hint``, what would be right."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}. {hint}" if hint else message)
        self.message = message
        self.hint = hint


class MethodRefused(PeftLabError):
    """A method that cannot work on this model, with the reason."""
