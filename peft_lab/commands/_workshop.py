"""The table behind ``%peft workshop``: what holds, where it comes from, and how to have it another way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peft_lab.bench import DEFAULT_DATA
from peft_lab.commands._settings import BUILT_IN, CHOSEN
from peft_lab.present.style import seconds
from peft_lab.present.table import Table
from peft_lab.profiles import PROFILES

if TYPE_CHECKING:
    from peft_lab.bench import Bench

WORKSHOP = "workshop"
ON = "First of all: %peft selfcheck. In pyproject.toml: [tool.peft_lab] profile = 'workshop'. Off: %peft workshop --off"
OFF = "Settings are again what they were before: %peft config"


def workshop(bench: Bench) -> Table:
    """What holds now."""
    defaults = bench.defaults
    on = defaults.profile == WORKSHOP

    def origin(key: str) -> str:
        found = defaults.find(key)
        return found[1] if found else BUILT_IN

    chosen = bench.model != defaults.get("model", bench.model)
    budget = defaults.get("max_seconds")
    rows = [
        ["network", *_network(bench, origin("offline")), "%config PeftMagics.offline = False"],
        ["base model", _model(bench), CHOSEN if chosen else origin("model"), "%peft model NAME, or --model NAME"],
        ["data", bench.spec.source, _data_origin(bench, origin("data")), "%peft data NAME, or --data NAME"],
        ["seed", str(defaults.get("seed", 0)), origin("seed"), "--seed 1"],
        ["time budget", _budget(budget), origin("max_seconds"), "--max-seconds 120; inf for none"],
        ["runs", str(bench.folder), origin("runs"), "%config PeftMagics.runs = 'FOLDER'"],
    ]
    title = f"workshop: {PROFILES[WORKSHOP].summary}" if on else "workshop is off"
    return Table(title, ("what", "now", "from", "another way"), rows, note=ON if on else OFF)


def _network(bench: Bench, origin: str) -> tuple[str, str]:
    off = bench.defaults.get("offline")
    return "off: nothing is asked of the hub" if off else "as the environment says", origin


def _model(bench: Bench) -> str:
    offer = bench.host.offers("models").get(bench.model)
    return f"{bench.model} ({offer.item.summary})" if offer else bench.model


def _data_origin(bench: Bench, origin: str) -> str:
    return CHOSEN if bench.spec.source != bench.defaults.get("data", DEFAULT_DATA) else origin


def _budget(most: float | None) -> str:
    if most is None:
        return "none: a training goes on until its last step"
    return f"{seconds(most)} of training, then the run ends with what it got; loading and evaluation come on top"
