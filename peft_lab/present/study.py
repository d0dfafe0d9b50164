"""A study in progress, as HTML whose height does not change: the page below it does not jump."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from peft_lab.present.style import BORDER, PALETTE, PLAIN, esc, plain, seconds, words
from peft_lab.texts import studies as texts

_LINE = "height:24px;line-height:24px;white-space:nowrap;overflow:hidden;text-overflow:ellipsis"
ROW = 25


def study_html(state: Mapping[str, Any]) -> str:
    """Say where a study is. ``state`` is plain data."""
    every, done = state.get("all") or 0, (state.get("done") or 0) + (state.get("failed") or 0)
    bar = f'<progress value="{done / every if every else 0:.4f}" max="1" style="width:100%;height:12px"></progress>'
    lines = state.get("lines") or ()
    height = 24 * 4 + 18 + ROW * (len(lines) + 1) + 28
    return (
        f'<div {PLAIN} style="box-sizing:border-box;height:{height}px;overflow:hidden;max-width:860px;'
        f"margin:6px 0;padding:8px 16px;border:1px solid {BORDER};border-left:6px solid {PALETTE['blue']};"
        f'border-radius:6px">'
        f'<div style="{_LINE}"><b>{esc(plain(state.get("name", "")))}</b> · {esc(plain(state.get("phase", "")))}</div>'
        f'<div style="height:18px;line-height:18px">{bar}</div>'
        f'<div style="{_LINE}">{esc(" · ".join(_pace(state)))}</div>'
        f'<div style="{_LINE}">{esc(_running(state))}</div>'
        f"{_table(state)}"
        f'<div style="{_LINE}">{esc(plain(state.get("how_to_stop", "")))}</div></div>'
    )


def study_text(state: Mapping[str, Any]) -> str:
    """The same on one line."""
    return " · ".join(part for part in (plain(state.get("name", "")), *_pace(state), _running(state)) if part)


def _pace(state: Mapping[str, Any]) -> list[str]:
    done, every = (f"{state.get(name) or 0:,}" for name in ("done", "all"))
    said = [texts.CELLS_FINISHED.format(done=done, all=every)]
    if state.get("failed"):
        said.append(texts.CELLS_FAILED.format(count=f"{state['failed']:,}"))
    if state.get("seconds") is not None:
        left, spent = state.get("left_seconds"), seconds(state["seconds"])
        told = texts.TIME_SPENT if left is None else texts.TIME_SPENT_AND_LEFT
        said.append(told.format(seconds=spent, left=seconds(left)))
    return said


def _running(state: Mapping[str, Any]) -> str:
    return plain("; ".join(state.get("running") or ()))


def _table(state: Mapping[str, Any]) -> str:
    if not state.get("lines"):
        return ""
    edge = f"border:0;border-bottom:1px solid {BORDER};padding:2px 12px 2px 4px;text-align:left;white-space:nowrap"
    headline = words(state.get("headline") or texts.SCORE)
    more = [texts.MORE_COLUMNS.format(count=state["more_columns"])] if state.get("more_columns") else []
    head = [texts.SCORE_COLUMN.format(score=headline), *state["columns"], *more]
    body = [[method, *cells, *([""] if more else [])] for method, cells in state["lines"]]
    rows = "".join(
        f'<tr style="height:{ROW}px;background:none">'
        + "".join(f'<td style="{edge}">{esc(plain(text))}</td>' for text in line)
        + "</tr>"
        for line in body
    )
    names = "".join(f'<th style="{edge};font-weight:bold">{esc(plain(name))}</th>' for name in head)
    return (
        '<table style="border-collapse:collapse;background:none;margin:0;font-size:100%">'
        f'<thead><tr style="height:{ROW}px;background:none">{names}</tr></thead><tbody>{rows}</tbody></table>'
    )
