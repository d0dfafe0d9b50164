"""What there is to say about a run, read out of a record that may lack anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from peft_lab.present.style import bytes_, count, plain, score, seconds, share, shorten, visible, words
from peft_lab.texts import cards as texts

MARKS = {  # a word, a mark and a colour: never the colour alone
    "finished": ("✓", "green"),
    "running": ("▶", "blue"),
    "stopped": ("■", "purple"),
    "failed": ("✗", "vermilion"),
    "crashed": ("✗", "vermilion"),
}
Pairs = list[tuple[str, str]]


class Facts:
    """What a card says. HTML and text are two ways to write it."""

    def __init__(self, run_id: str, record: Mapping[str, Any], status: str, points: Sequence[Any]) -> None:
        self.id, self.record, self.word = run_id, record, status
        self.mark, self.colour = MARKS.get(status, ("?", "grey"))
        self.points = [p for p in points if isinstance(p, Mapping)]
        self.headline = str(record.get("headline") or "accuracy")
        self.recipe, self.data, self.cost = (_part(record, key) for key in ("recipe", "data", "cost"))
        self.error = _part(record, "error")

    @property
    def status(self) -> str:
        """The word with its mark, and how far the run came."""
        planned, done = (_part(self.record, "steps").get(key) for key in ("planned", "done"))
        if not planned or done is None or (self.word == "finished" and done >= planned):
            return texts.STATE.format(mark=self.mark, state=self.state)
        said = texts.FINISHED_EARLY if self.word == "finished" else texts.STATE_AT
        return said.format(mark=self.mark, state=self.state, done=count(done), planned=count(planned))

    @property
    def state(self) -> str:
        """The word as people read it."""
        return texts.STATES.get(self.word, self.word)

    @property
    def what(self) -> Pairs:
        """Method, model, data."""
        methods = [m.get("name", "?") for m in self.recipe.get("methods") or () if isinstance(m, Mapping)]
        rows = _part(self.data, "rows")
        sizes = ", ".join(
            texts.ROWS_OF_SPLIT.format(count=count(rows[split]), split=_split(split)) for split in rows if rows[split]
        )
        source = self.data.get("name") or _part(self.recipe, "data").get("source")
        pairs = (
            (texts.METHOD, "+".join(map(str, methods))),
            (texts.MODEL, self.recipe.get("model")),
            (
                texts.DATA,
                texts.DATA_WITH_ROWS.format(source=shorten(source, 60), rows=sizes) if source and sizes else source,
            ),
        )
        return [(name, plain(value)) for name, value in pairs if value]

    @property
    def scores(self) -> Pairs:
        """The metric that counts, of each split, test first."""
        found = []
        for split in ("test", "validation"):
            value = self.metrics(split).get(self.headline)
            if value is not None:
                of_best = split == "validation" and "epoch" in self.best
                said = texts.SCORE_OF_BEST if of_best else texts.SCORE_ON
                epoch = f"{self.best['epoch']:.3g}" if of_best else ""
                found.append((score(value), said.format(split=_split(split), metric=words(self.headline), epoch=epoch)))
        return found

    @property
    def others(self) -> Pairs:
        """The other metrics, a line for each split."""
        found = []
        for split in ("test", "validation"):
            rest = [
                texts.SCORE_VALUE.format(metric=words(name), value=score(value))
                for name, value in self.metrics(split).items()
                if name != self.headline
            ]
            if rest:
                found.append((_split(split), " · ".join(rest)))
        return found

    @property
    def best(self) -> Mapping[str, Any]:
        """Step and epoch of the best state."""
        return _part(self.record, "best")

    def metrics(self, split: str) -> Mapping[str, Any]:
        """The numbers of a split."""
        numbers = _part(_part(self.record, "metrics"), split)
        return {name: value for name, value in numbers.items() if isinstance(value, (int, float))}

    @property
    def costs(self) -> Pairs:
        """What it took: parameters, time, memory, disk."""
        cost, pairs = self.cost, []
        if cost.get("trainable") is not None:
            said = trains(cost["trainable"], cost.get("total"), cost.get("trainable_head"))
            pairs.append((texts.TRAINABLE, said))
        formats = (
            ("seconds", texts.TRAINING_TIME, seconds),
            ("texts_per_second", texts.SPEED, lambda value: texts.TEXTS_PER_SECOND.format(count=count(value))),
            ("peak_memory", texts.PEAK_MEMORY, bytes_),
            ("bytes_on_disk", texts.ON_DISK, bytes_),
        )
        expected = _part(self.record, "forecast")
        forecasts = {"seconds": expected.get("seconds"), "peak_memory": _part(expected, "memory").get("peak")}
        for key, label, show in formats:
            if cost.get(key) is not None:
                said = show(cost[key])
                if (before := forecasts.get(key)) is not None:
                    said = texts.WITH_FORECAST.format(value=said, forecast=show(before))
                pairs.append((label, said))
        return pairs

    @property
    def proof(self) -> list[tuple[bool, str]]:
        """What was proven about the training, and whether it held."""
        return [
            (bool(p.get("ok")), plain(p.get("text") or p.get("check") or ""))
            for p in self.record.get("proof") or ()
            if isinstance(p, Mapping)
        ]

    @property
    def notes(self) -> list[str]:
        """What the reader should know, each once."""
        said = [*(self.record.get("notes") or ()), *(self.data.get("notes") or ())]
        if self.word == "crashed":
            said.insert(0, texts.PROCESS_GONE)
        return [plain(note) for note in dict.fromkeys(map(str, said))]

    @property
    def failure(self) -> str:
        """The error in one line."""
        return ": ".join(plain(self.error[key]) for key in ("type", "message") if self.error.get(key))

    @property
    def onward(self) -> list[str]:
        """What to type next."""
        lines = []
        if "validation" in (_part(self.record, "metrics") or {}) or self.points:
            lines.append(f"%peft show curves {self.id}")
        if self.word in ("finished", "stopped"):
            lines += [f"%peft show change-map {self.id}", f'%peft predict {self.id} "..."']
        if self.word == "stopped":
            lines.append(f"%peft resume {self.id}")
        return [*lines, "%peft compare"] if lines else ["%peft runs"]

    @property
    def details(self) -> Pairs:
        """What makes the run repeatable."""
        versions = (f"{name} {v}" for name, v in _part(self.record, "versions").items() if v)
        machine = _part(self.record, "hardware")
        hardware = (
            f"{machine.get('name') or machine.get('device') or ''}",
            texts.CORES.format(count=count(machine["cores"])) if machine.get("cores") else "",
            bytes_(machine.get("memory")) if machine.get("memory") else "",
            texts.PRECISION.format(precision=machine["precision"]) if machine.get("precision") else "",
            str(machine.get("held") or ""),
        )
        prints = (f"{name} {str(value)[:12]}" for name, value in _part(self.record, "fingerprints").items() if value)
        pairs = (
            (texts.SEED, self.recipe.get("seed")),
            (texts.STARTED, self.record.get("started")),
            (texts.ENDED, self.record.get("ended")),
            (texts.FINGERPRINTS, _dots(prints)),
            (texts.VERSIONS, _dots(versions)),
            (texts.HARDWARE, _dots(hardware)),
            (texts.LABELS, _dots(f"{shorten(k, 30)} {v}" for k, v in list(_part(self.data, "labels").items())[:40])),
        )
        return [(name, plain(value)) for name, value in pairs if value not in (None, "")]

    @property
    def yaml(self) -> str:
        """The recipe."""
        import yaml

        text = yaml.safe_dump(dict(self.recipe), sort_keys=False, allow_unicode=True) if self.recipe else ""
        return visible(text).rstrip()

    @property
    def traceback(self) -> str:
        """Of the error, where there was one."""
        return visible(self.error.get("traceback") or "").rstrip()


def trains(number: float, total: float | None, head: float | None) -> str:
    """How many parameters train, of how many, and how many of them in the head."""
    if total:
        said, part = (texts.TRAINS_OF_HEAD if head else texts.TRAINS_OF), share(number / total)
        return said.format(count=count(number), total=count(total), share=part, head=count(head))
    return (texts.TRAINS_HEAD if head else texts.TRAINS).format(count=count(number), head=count(head))


def _split(name: str) -> str:
    return texts.SPLITS.get(name, name)


def _part(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A mapping inside a record, empty where there is none."""
    part = record.get(key)
    return part if isinstance(part, Mapping) else {}


def _dots(parts: Iterable[str]) -> str:
    return " · ".join(part for part in parts if part)
