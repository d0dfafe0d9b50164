"""Reasoning or boilerplate: the role of every answer token, found by shuffling and shown (arXiv:2412.14780)."""

from __future__ import annotations

from pydantic import Field

from peft_lab.methods._finds_roles import FindsRoles, RoleOptions


class ShadOptions(RoleOptions):
    """How roles are found."""

    control: bool = Field(
        True, description="tune twice more, on rows as they are and on the same shuffled: can roles be trusted?"
    )


class Shad(FindsRoles):
    """Finds the roles and changes nothing of the training: all tokens count alike. ``rft`` weighs them, too."""

    name = "shad"
    summary = "which answer tokens are reasoning and which boilerplate; trains as if it were not there"
    paper = "arXiv:2412.14780"
    companion = "lora"

    Options = ShadOptions
