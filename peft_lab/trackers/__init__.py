"""Runs told to experiment trackers, as they go. Nothing is told anybody unless it was asked for.

``mlflow.py`` and ``trackio.py`` are plugins through the hooks that inform, like a stranger's. What they hear goes into
a queue, and from there to a process of its own that knows the tracker: training waits for nothing, and what a tracker
does to a process, its prints, threads and network, does not happen to the notebook.
"""
