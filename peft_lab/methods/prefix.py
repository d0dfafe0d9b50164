"""Prefix tuning (Li and Liang 2021) in every layer, as P-tuning v2 does it (Liu et al. 2022); base of arXiv:2305.15212.

Each attention module gets m keys and m values of its own, which every token of a text can attend to:
``Att(x W_q, [P_k ; x W_k], [P_v ; x W_v])``. In all 2 L d m numbers, where keys are as wide as the model.
"""

from __future__ import annotations

from peft_lab.methods._prefix import PrefixMethod


class Prefix(PrefixMethod):
    """Trains keys and values that stand before those of the text in every layer; nothing of the model changes.

    A layer whose module serves several times (ALBERT) has one prefix for all of them. The text keeps its positions.
    """

    name = "prefix"
    summary = "virtual tokens before the text in every layer's attention"
    paper = "arXiv:2101.00190, arXiv:2110.07602, arXiv:2305.15212"
