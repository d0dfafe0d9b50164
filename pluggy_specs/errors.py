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


def in_one_line(error: BaseException, longest: int = 500) -> str:
    """What an error says, as one line; of one that is not meant for people, what kind it is too."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an error that cannot even be printed
        text = ""
    text = text if len(text) <= longest else text[:longest] + "..."
    if isinstance(error, PeftLabError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
