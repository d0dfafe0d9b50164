"""A judgement as tables: a line for each measure, several runs side by side, labels, single mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from peft_lab.judging.judgement import Judgement
from peft_lab.judging.lines import lines
from peft_lab.present.style import DASH, score, share
from peft_lab.present.table import Table
from peft_lab.texts import judging as texts

MOST_CLASSES = 30


def summary(judgement: Judgement) -> Table:
    """One run: each figure with the sentence that says what it means."""
    title = texts.TITLE.format(run=judgement.run, method=judgement.method, data=judgement.data)
    rows = [[line.name, line.figure, line.means] for line in lines(judgement)]
    return Table(title, texts.COLUMNS, rows, note=_note(judgement), align="<<<")


def side_by_side(judgements: Sequence[Judgement]) -> Table:
    """Several runs: a column each, and how to read a line."""
    found = [{line.key: line for line in lines(one)} for one in judgements]
    order = {key: None for lines_of in found for key in lines_of}
    rows = []
    for key in order:
        named = next(lines_of[key] for lines_of in found if key in lines_of)
        figures = [lines_of[key].figure if key in lines_of else DASH for lines_of in found]
        rows.append([named.name, *figures, named.general])
    columns = ("", *(f"{one.run}\n{one.method}" for one in judgements), texts.HOW_TO_READ)
    same = len({(one.data, one.measures.get("quality", {}).get("items")) for one in judgements}) == 1
    notes = dict.fromkeys(note for one in judgements for note in one.notes)
    note = " ".join([*([] if same else [texts.DIFFERENT_DATA]), *(f"{note}." for note in notes)])
    return Table(texts.TITLE_OF_MANY.format(count=len(judgements)), columns, rows, note=note, align="<" * len(columns))


def _note(judgement: Judgement) -> str:
    found = judgement.measures
    said = []
    if (quality := found.get("quality")) and quality.get("items"):
        units = texts.UNITS[quality["unit"]]
        said.append(texts.JUDGED_ON.format(items=f"{quality['items']:,}", units=units))
    if latency := found.get("latency"):
        threads = latency["threads"]
        said.append(
            texts.WHERE.format(
                device=judgement.hardware.get("name") or latency["device"],
                threads=texts.ONE_THREAD if threads == 1 else texts.THREADS.format(count=threads),
                precision=latency["precision"],
                calls=latency["unmerged"]["calls"],
                warm_up=latency["warm_up"],
            )
        )
    few = [one["validation_items"] for one in found.values() if one.get("few")]
    said += [texts.FEW.format(count=few[0])] if few else []
    return " ".join([*said, *(f"{note}." for note in judgement.notes)])


def details(judgement: Judgement) -> list[Table]:
    """What stands below the summary: labels, confusions, single mistakes, what was not measured."""
    found = judgement.measures.get("mistakes", {})
    made = [
        _classes(texts.ENTITIES, found.get("entities")),
        _classes(texts.CLASSES, found.get("classes")),
        _confusions(found),
        _mistakes(found),
        _left_out(judgement),
    ]
    return [table for table in made if table is not None]


def _classes(title: str, rows: Sequence[Mapping[str, Any]] | None) -> Table | None:
    if not rows:
        return None
    names = ("precision", "recall", "f1")
    cells: list[list[Any]] = [
        [row["label"], row["there"], row["answered"], row["right"], *(_known(row[name]) for name in names)]
        for row in rows[:MOST_CLASSES]
    ]
    left = len(rows) - MOST_CLASSES
    note = texts.CLASS_NOTE if left <= 0 else f"{texts.CLASS_NOTE} {texts.MORE_CLASSES.format(left)}"
    return Table(title, texts.CLASS_COLUMNS, cells, note=note, align="<>>>>>>")


def _confusions(found: Mapping[str, Any]) -> Table | None:
    if not found.get("confusions"):
        return None
    units = texts.UNITS[found["unit"]]
    rows = [[one["truth"], one["answer"], one["count"], share(one["share"])] for one in found["confusions"]]
    columns = tuple(name.format(units=units) for name in texts.CONFUSION_COLUMNS)
    return Table(texts.CONFUSIONS, columns, rows, align="<<>>")


def _mistakes(found: Mapping[str, Any]) -> Table | None:
    shown = found.get("surest")
    if not shown:
        return None
    note = texts.LOOK if "text" in shown[0] else texts.NO_TEXTS
    count = len(shown)
    if found["kind"] == "numbers":
        rows = [[_text(one), _number(one["truth"]), _number(one["answer"])] for one in shown]
        return Table(texts.FARTHEST.format(count=count), texts.NUMBER_COLUMNS, rows, note=note, align="<>>")
    if found["kind"] == "texts":
        title = texts.WRITTEN.format(count=count, wrong=found["wrong"])
        return Table(title, texts.WRITTEN_COLUMNS, [[_text(one), one["truth"], one["answer"]] for one in shown])
    rows = [[_text(one), one["truth"], one["answer"], share(one["confidence"])] for one in shown]
    return Table(texts.MISTAKES.format(count=count), texts.MISTAKE_COLUMNS, rows, note=note, align="<<<>")


def _text(one: Mapping[str, Any]) -> str:
    if "text" not in one:
        return texts.ROW.format(row=one["row"])
    pair = f" ⟂ {one['text_pair']}" if "text_pair" in one else ""
    if "word" in one:
        return texts.WORD_IN.format(word=one["word"], text=one["text"])
    return f"{one['text']}{pair}"


def _left_out(judgement: Judgement) -> Table | None:
    if not judgement.left_out:
        return None
    rows = [[texts.MEASURES[name], why] for name, why in judgement.left_out.items()]
    return Table(texts.NOT_MEASURED, texts.MEASURE_COLUMNS, rows)


def _known(value: float | None) -> str:
    return DASH if value is None else score(value)


def _number(value: float) -> str:
    from peft_lab.present.style import number

    return number(value)
