"""How results look: one visual language for the notebook, the panels and the command line.

Everything here is static HTML, PNG or text that reads the same without a kernel, on a dark or a light page.
"""

from peft_lab.present.picture import Picture, render
from peft_lab.present.table import Table

__all__ = ["Picture", "Table", "render"]
