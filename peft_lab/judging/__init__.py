"""What counts in the field, measured for a run that is trained: one measure a file."""
