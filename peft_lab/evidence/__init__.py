"""Whether a difference is real: means with their spread, paired tests, curves over data, fronts.

numpy and scipy only; everything is exact or drawn from a fixed seed, so equal rows give equal figures. What is computed
and why stands in ``docs/evidence.md``. scipy is imported when it is needed: listings stay quick.
"""

from peft_lab.evidence.answers import correct_answers
from peft_lab.evidence.area import Area, Enough, area_under_curve, smallest_enough
from peft_lab.evidence.comparing import Comparison, comparisons
from peft_lab.evidence.front import OnFront, front, pareto
from peft_lab.evidence.mcnemar import McNemar, mcnemar
from peft_lab.evidence.summary import Cell, Summary, summarise
from peft_lab.evidence.two_levels import OnTexts, TwoLevels, on_texts, two_levels

__all__ = [
    "Area",
    "Cell",
    "Comparison",
    "Enough",
    "McNemar",
    "OnFront",
    "OnTexts",
    "Summary",
    "TwoLevels",
    "area_under_curve",
    "comparisons",
    "correct_answers",
    "front",
    "mcnemar",
    "on_texts",
    "pareto",
    "smallest_enough",
    "summarise",
    "two_levels",
]
