"""The notebook's skin over :class:`~peft_lab.lab.Lab`: magics, and training one can watch."""
