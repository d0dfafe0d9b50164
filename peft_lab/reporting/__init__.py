"""A page to bring to a decision: what was asked, the answer with its uncertainty, costs, risks, how to go back.

One HTML file that needs nothing but itself, in English or Japanese, for people who do not write code. What is shown is
gathered as plain data (``gathering.py``), said by one module of texts for each language, and put together here.
"""

from peft_lab.reporting.material import Contrast, Drawn, Material, Pair, Risk
from peft_lab.reporting.page import report

__all__ = ["Contrast", "Drawn", "Material", "Pair", "Risk", "report"]
