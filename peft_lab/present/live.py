"""A training in progress, as HTML of one fixed height: the page below it does not jump."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from peft_lab.present.curve import HEIGHT as CURVE_HEIGHT
from peft_lab.present.curve import WIDTH as CURVE_WIDTH
from peft_lab.present.picture import image
from peft_lab.present.style import BORDER, PALETTE, PLAIN, count, esc, plain, score, seconds, words
from peft_lab.texts import cards as texts

LIVE_HEIGHT = CURVE_HEIGHT + 132
_LINE = "height:24px;line-height:24px;white-space:nowrap;overflow:hidden;text-overflow:ellipsis"


def live_html(state: Mapping[str, Any]) -> str:
    """Say where the training is. ``state`` is plain data; whatever is missing is left out."""
    who = " · ".join(plain(state[key]) for key in ("method", "model", "data") if state.get(key))
    steps, step = state.get("steps") or 0, state.get("step") or 0
    # without a value the bar would move by itself, which the saved notebook would keep for ever
    bar = f'<progress value="{step / steps if steps else 0:.4f}" max="1" style="width:100%;height:12px"></progress>'
    picture = image(state.get("curve_png") or b"", texts.LIVE_CURVES, CURVE_WIDTH)
    return (
        f'<div {PLAIN} style="box-sizing:border-box;height:{LIVE_HEIGHT}px;overflow:hidden;max-width:860px;'
        f"margin:6px 0;padding:8px 16px;border:1px solid {BORDER};border-left:6px solid {PALETTE['blue']};"
        f'border-radius:6px">'
        f'<div style="{_LINE}"><b>{esc(plain(state.get("run_id", "")))}</b> · {esc(plain(state.get("phase", "")))} · '
        f"{esc(who)}</div>"
        f'<div style="height:18px;line-height:18px">{bar}</div>'
        f'<div style="{_LINE}">{esc(" · ".join(_progress(state)))}</div>'
        f'<div style="{_LINE}">{esc(" · ".join(_pace(state)))}</div>'
        f'<div style="height:{CURVE_HEIGHT}px;overflow:hidden;margin-top:4px">{picture}</div></div>'
    )


def live_text(state: Mapping[str, Any]) -> str:
    """The same on one line."""
    start = (plain(state.get(key, "")) for key in ("run_id", "phase"))
    return " · ".join(part for part in (*start, *_progress(state), *_pace(state)) if part)


def _progress(state: Mapping[str, Any]) -> list[str]:
    said = []
    if state.get("steps"):
        said.append(texts.STEP_OF.format(step=count(state.get("step") or 0), steps=count(state["steps"])))
    if state.get("epochs"):
        said.append(texts.EPOCH_OF.format(epoch=f"{state.get('epoch') or 0:.3g}", epochs=f"{state['epochs']:.3g}"))
    if state.get("loss") is not None:
        said.append(texts.LOSS_NOW.format(loss=score(state["loss"])))
    headline = state.get("headline") or ""
    metrics = state.get("metrics") or {}
    if headline in metrics:
        said.append(texts.METRIC_NOW.format(metric=words(headline), value=score(metrics[headline])))
    return said


def _pace(state: Mapping[str, Any]) -> list[str]:
    said = []
    if state.get("seconds") is not None:
        spent, left = seconds(state["seconds"]), state.get("left_seconds")
        said.append(spent if left is None else texts.ABOUT_LEFT.format(spent=spent, left=seconds(left)))
    for key, speed in (("texts_per_second", texts.TEXTS_PER_SECOND), ("tokens_per_second", texts.TOKENS_PER_SECOND)):
        if state.get(key):
            said.append(speed.format(count=count(state[key])))
    return [*said, state.get("how_to_stop") or texts.INTERRUPT]
