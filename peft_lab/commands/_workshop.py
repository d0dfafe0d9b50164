"""The table behind ``%peft workshop``: what holds, where it comes from, and how to have it another way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peft_lab.bench import DEFAULT_DATA
from peft_lab.defaults import CHOSEN
from peft_lab.present.style import seconds
from peft_lab.present.table import Table
from peft_lab.profiles import PROFILES
from peft_lab.texts import tables as texts

if TYPE_CHECKING:
    from peft_lab.bench import Bench

WORKSHOP = "workshop"


def workshop(bench: Bench) -> Table:
    """What holds now."""
    defaults = bench.defaults
    on = defaults.profile == WORKSHOP

    def origin(key: str) -> str:
        found = defaults.find(key)
        return found[1] if found else texts.BUILT_IN

    chosen = bench.model != defaults.get("model", bench.model)
    budget = defaults.get("max_seconds")
    rows = [
        [texts.NETWORK, *_network(bench, origin("offline")), "%config PeftMagics.offline = False"],
        [texts.BASE_MODEL_ROW, _model(bench), CHOSEN if chosen else origin("model"), texts.MODEL_NAMED],
        [texts.DATA, bench.spec.source, _data_origin(bench, origin("data")), texts.DATA_NAMED],
        [texts.SEED, str(defaults.get("seed", 0)), origin("seed"), "--seed 1"],
        [texts.TIME_BUDGET, _budget(budget), origin("max_seconds"), texts.OTHER_BUDGET],
        [texts.RUNS, str(bench.folder), origin("runs"), "%config PeftMagics.runs = 'FOLDER'"],
    ]
    title = (texts.WORKSHOP_ON if on else texts.WORKSHOP_OFF).format(summary=PROFILES[WORKSHOP].summary)
    note = texts.WORKSHOP_ON_NOTE if on else texts.WORKSHOP_OFF_NOTE
    return Table(title, texts.WORKSHOP_COLUMNS, rows, note=note)


def _network(bench: Bench, origin: str) -> tuple[str, str]:
    off = bench.defaults.get("offline")
    return texts.NETWORK_OFF if off else texts.NETWORK_AS_SET, origin


def _model(bench: Bench) -> str:
    offer = bench.host.offers("models").get(bench.model)
    return texts.MODEL_SUMMARY.format(model=bench.model, summary=offer.item.summary) if offer else bench.model


def _data_origin(bench: Bench, origin: str) -> str:
    return CHOSEN if bench.spec.source != bench.defaults.get("data", DEFAULT_DATA) else origin


def _budget(most: float | None) -> str:
    if most is None:
        return texts.NO_BUDGET
    return texts.BUDGET.format(time=seconds(most))
