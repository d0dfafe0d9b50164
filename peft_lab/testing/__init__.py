"""For authors of methods: one call that holds a method to the contract, on tiny models, in seconds, offline.

from peft_lab.testing import check_families, check_method
def test_mine(tmp_path):
    check_method(MyMethod, tmp_path)
"""

from __future__ import annotations

from peft_lab.errors import MethodRefused
from peft_lab.testing.contract import check_method
from peft_lab.testing.families import check_families
from peft_lab.testing.tiny import FAMILIES, tiny_causal_lab, tiny_lab, tiny_model, tiny_rows

__all__ = [
    "FAMILIES",
    "MethodRefused",
    "check_families",
    "check_method",
    "tiny_causal_lab",
    "tiny_lab",
    "tiny_model",
    "tiny_rows",
]
