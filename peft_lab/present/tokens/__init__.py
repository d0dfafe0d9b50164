"""Tokens of samples as people see them: read from artifacts, marked by role, weight or loss, counted, told."""
