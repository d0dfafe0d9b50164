"""Widgets: the panel, explorers, and the Stop button. Imported only when one of them is asked for."""
