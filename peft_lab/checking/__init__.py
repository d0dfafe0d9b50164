"""Whether what a notebook shows still holds."""
