"""Cards, tables and pictures say the right thing, escape everything and read in dark and light."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peft_lab.present import Picture, Table, render, style
from peft_lab.present.card import LIVE_HEIGHT, curve_png, live_html, live_text, run_card
from peft_lab.present.curve import sparkline
from peft_lab.present.table import width
from peft_lab.run import Run
from pluggy_specs import Drawing

HOSTILE = [
    '"><img src=x onerror=alert(1)>',
    "</script><script>x</script>",
    "<!-- --",
    "\u202egnp.exe",
    "\x00\x1b[31m",
    "$a$",
]
hostile_text = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))
ROWS = {"train": 1200, "validation": 150, "test": 300}


def record_of(run_id: str = "run-2", method: str = "bitfit", **changes: object) -> dict:
    """A run.json as the training side writes it."""
    recipe = {
        "model": "minilm",
        "data": {"source": "helpdesk"},
        "methods": [{"name": name, "options": {}} for name in method.split("+")],
        "training": {"epochs": 3, "learning_rate": 0.001},
        "seed": 0,
    }
    cost = {
        "trainable": 102912,
        "trainable_head": 5775,
        "total": 22_713_216,
        "seconds": 71.6,
        "texts_per_second": 412.3,
    }
    record = {
        "format": 1,
        "id": run_id,
        "status": "finished",
        "recipe": recipe,
        "started": "2026-11-22T02:10:00+00:00",
        "ended": "2026-11-22T02:11:30+00:00",
        "versions": {"python": "3.11.7", "peft_lab": "0.1.0", "torch": "2.15.0", "transformers": "5.23.0"},
        "hardware": {
            "device": "cpu",
            "name": "AMD EPYC 7B13",
            "cores": 2,
            "memory": 8_000_000_000,
            "precision": "fp32",
        },
        "fingerprints": {"recipe": "a" * 64, "data": "b" * 64, "model": "c" * 64},
        "data": {
            "name": "helpdesk",
            "rows": ROWS,
            "labels": {"vpn": 80, "badge": 80},
            "notes": ["columns guessed: text, label"],
        },
        "headline": "accuracy",
        "steps": {"planned": 114, "done": 114},
        "best": {"step": 114, "epoch": 3},
        "cost": {**cost, "peak_memory": 1_120_000_000, "bytes_on_disk": 431_000},
        "metrics": {
            "validation": {"accuracy": 0.921, "macro_f1": 0.917, "loss": 0.31},
            "test": {"accuracy": 0.918, "macro_f1": 0.911, "loss": 0.33},
        },
        "proof": [{"check": "moved", "ok": True, "text": "all 102 trainable tensors moved in the first steps"}],
        "head": ["classifier.weight", "classifier.bias"],
        "notes": [],
        "error": None,
    }
    return {**record, **changes}


def points_of(steps: int = 114, epochs: int = 3, best: float = 0.92, seed: int = 0) -> list[dict]:
    """A metrics.jsonl as the training side writes it."""
    noise = np.random.default_rng(seed)
    each = max(1, steps // epochs)
    found: list[dict] = []
    for step in range(1, steps + 1):
        loss = 0.3 + 2.4 * np.exp(-4 * step / steps) + noise.normal(0, 0.12)
        found.append(
            {
                "step": step,
                "epoch": step / each,
                "split": "train",
                "loss": max(0.05, loss),
                "learning_rate": 1e-3,
                "seconds": step * 0.6,
            }
        )
        if step % each == 0:
            value = best * (1 - np.exp(-2.2 * step / each)) / (1 - np.exp(-2.2 * epochs))
            found.append(
                {
                    "step": step,
                    "epoch": step / each,
                    "split": "validation",
                    "accuracy": value,
                    "macro_f1": value,
                    "loss": 0.4,
                    "seconds": step * 0.6,
                }
            )
    return found


def make_run(folder: Path, record: dict, points: list[dict] | None = None, name: str = "") -> Run:
    """A run folder without torch."""
    path = folder / (name or str(record.get("id", "run-1")))
    path.mkdir(parents=True)
    (path / "run.json").write_text(json.dumps(record))
    if points:
        (path / "metrics.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    return Run(path)


ALLOWED_TAGS = {"b", "br", "details", "div", "figcaption", "figure", "img", "pre", "progress", "span", "summary"} | {
    "table", "tbody", "td", "th", "thead", "tr",
}  # fmt: skip


class Reader(HTMLParser):
    """Collects what a browser would make of the HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def check_html(html: str) -> Reader:
    read = Reader(html)
    assert set(read.tags) <= ALLOWED_TAGS
    assert set(read.attributes) <= {"style", "class", "alt", "src", "width", "value", "max"}
    assert not read.open
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f]", html)
    return read


def mixed(one: str, alpha: float, page: str) -> list[float]:
    return [alpha * a + (1 - alpha) * b for a, b in zip(style._rgb(one), style._rgb(page), strict=True)]


@pytest.mark.parametrize(("page", "text"), [("#ffffff", "#212121"), ("#111111", "#e0e0e0")])
@pytest.mark.parametrize("name", style.PALETTE)
def test_palette_has_contrast_in_light_and_dark(name: str, page: str, text: str) -> None:
    assert style.contrast(text, mixed(style.PALETTE[name], style.MOST_TINT, page)) >= 4.5
    assert style.contrast(style.PALETTE[name], page) >= 3


def test_lines_and_ink_have_contrast_in_pictures() -> None:
    assert all(style.contrast(colour, style.PAPER) >= 3 for colour in style.LINES)
    assert style.contrast(style.INK, style.PAPER) >= 4.5
    assert style.tint("blue", 0.9) == style.tint("blue", style.MOST_TINT)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (style.count(102912), "102,912"),
        (style.count(1_234_567), "1.23 M"),
        (style.count(22_713_216), "22.7 M"),
        (style.count(None), "–"),
        (style.count(float("nan")), "–"),
        (style.share(0.0045), "0.45 %"),
        (style.share(1.0), "100 %"),
        (style.share(0.99996), "> 99.9 %"),
        (style.share(1e-7), "< 0.001 %"),
        (style.share(0.0), "0 %"),
        (style.seconds(0.42), "0.4 s"),
        (style.seconds(72), "1 min 12 s"),
        (style.seconds(120), "2 min"),
        (style.seconds(7500), "2 h 5 min"),
        (style.bytes_(2_100_000), "2.1 MB"),
        (style.bytes_(431_000), "431 kB"),
        (style.score(0.91849), "0.918"),
        (style.score(float("inf")), "–"),
        (style.words("macro_f1"), "macro F1"),
        (style.shorten("a" * 30 + "b" * 30, 11), "aaaaa…bbbbb"),
    ],
)
def test_numbers_read_well(said: str, expected: str) -> None:
    assert said == expected


@given(hostile_text)
def test_escaped_text_is_only_text(text: str) -> None:
    read = check_html(f'<div class="{style.esc(text)}">{style.esc(text)}</div>')
    assert read.tags == ["div"]


@given(st.lists(st.tuples(hostile_text, st.one_of(st.none(), st.integers(), st.floats(), hostile_text)), max_size=4))
def test_tables_escape_every_cell(rows: list) -> None:
    table = Table(HOSTILE[0], (HOSTILE[1], "value"), rows, note=HOSTILE[2])
    check_html(table._repr_html_())
    assert "\x1b" not in str(table) and "\u202e" not in str(table)
    assert len(str(table).split("\n")) == 4 + len(rows)


def test_table_lines_up_wide_characters_and_serves_programs() -> None:
    table = Table("runs", ("name", "accuracy", "n"), [("全微调", 0.9, 1200), ("bitfit", None, 3)])
    lines = str(table).splitlines()
    assert lines[3:] == ["全微调     0.900  1,200", "bitfit         –      3"]
    assert width(lines[3]) == width(lines[4])
    assert table.rows[0][0] == "全微调" and list(table.to_pandas()["n"]) == [1200, 3]
    assert set(table._repr_mimebundle_()) == {"text/html", "text/plain"}


STATES = {
    "finished": record_of(),
    "stopped": record_of(status="stopped", steps={"planned": 200, "done": 37}),
    "failed": record_of(
        status="failed", metrics={}, cost={}, error={"type": "NothingLearned", "message": "x", "traceback": "Traceback"}
    ),
    "crashed": record_of(status="running", metrics={}, steps={"planned": 200, "done": 80}),
    "minimal": {"status": "failed"},
    "empty": {},
    "odd": {"status": "finished", "metrics": [1], "cost": None, "data": "x", "recipe": 3, "steps": {}, "error": "no"},
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("points", [[], points_of(40, 2)], ids=["no points", "points"])
def test_card_of_every_state(tmp_path: Path, state: str, points: list) -> None:
    run = make_run(tmp_path, STATES[state], points, name="run-2")
    card = run_card(run)
    check_html(card.html)
    assert len(card.html) < 200_000 and "run-2" in card.text and "run-2" in card.html
    assert run_card(Run(run.path)) == card
    word = {"minimal": "✗ failed", "empty": "? unknown", "odd": "✓ finished"}.get(state, state)
    assert word in card.html and word in card.text
    assert ("<img alt=" in card.html) == bool(points)


def test_card_says_what_counts(tmp_path: Path) -> None:
    card = run_card(make_run(tmp_path, record_of(), points_of()))
    for said in (
        "0.918",
        "test accuracy",
        "102,912 of 22.7 M (0.45 %)",
        "5,775",
        "1 min 12 s",
        "1.1 GB",
        "431 kB",
        "1,200",
    ):
        assert said in card.html and said in card.text
    for said in (
        "412 texts/s",
        "columns guessed",
        "%peft show change-map run-2",
        "a" * 12,
        "torch 2.15.0",
        "epochs: 3",
    ):
        assert said in card.html
    assert "a" * 13 not in card.html
    assert "■ stopped at step 37 of 200" in run_card(make_run(tmp_path, STATES["stopped"], name="run-9")).text


@given(st.lists(hostile_text, min_size=9, max_size=9))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_card_escapes_everything(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    record = record_of(
        method=texts[0],
        headline=texts[1],
        data={"name": texts[2], "rows": {texts[3]: 3}, "labels": {texts[4]: 2}, "notes": [texts[5]]},
        metrics={"test": {texts[1]: 0.5, texts[6]: 0.4}},
        error={"type": texts[7], "message": texts[8], "traceback": texts[8]},
        proof=[{"check": "x", "ok": False, "text": texts[0]}],
        notes=[texts[1]],
        versions={texts[2]: texts[3]},
    )
    card = run_card(make_run(tmp_path_factory.mktemp("runs"), record, points_of(4, 1), name="run-1"))
    check_html(card.html)
    assert "\x1b" not in card.text and "\u202e" not in card.text


def test_live_box_keeps_its_height_and_is_quick() -> None:
    state = {"run_id": "run-3", "phase": "loading model"}
    full = {
        **state, "method": "bitfit" * 60, "model": HOSTILE[0], "data": HOSTILE[1], "step": 37, "steps": 200, "epoch": 1,
        "epochs": 3, "loss": 0.62, "metrics": {"accuracy": 0.71}, "headline": "accuracy",
        "seconds": 12, "left_seconds": 40,
        "texts_per_second": 410.2, "tokens_per_second": None,
    }  # fmt: skip
    started = time.perf_counter()
    pages = [live_html({}), live_html(state), live_html(full)]
    assert time.perf_counter() - started < 0.05
    pages.append(live_html({**full, "curve_png": curve_png(points_of(37, 1))}))
    for page in pages:
        check_html(page)
        assert f"height:{LIVE_HEIGHT}px;overflow:hidden" in page
        assert [len(re.findall(f"height:{h}px", page)) for h in (18, 168)] == [2, 1] and page.count(
            ";height:24px"
        ) + page.count('"height:24px') == 3
    said = (
        "step 37 of 200 · epoch 1 of 3 · loss 0.620 · validation accuracy 0.710 · 12 s, about 40 s left · 410 texts/s"
    )
    assert said in live_text(full) and "Interrupt stops after this step and keeps the run" in live_text(full)


@pytest.mark.parametrize("points", [[], [{}], points_of(1, 1), points_of(), points_of(5000, 20)], ids=len)
def test_curve_is_small_and_deterministic(points: list) -> None:
    png = curve_png(points, "accuracy")
    assert png == curve_png(points, "accuracy") and png.startswith(b"\x89PNG") and len(png) < 30_000


def test_curve_survives_odd_points() -> None:
    points = [
        {"step": 1, "split": "train", "loss": float("nan")},
        {"step": None, "split": "train", "loss": 1},
        *points_of(3, 1),
    ]
    assert curve_png(points, HOSTILE[5]) and sparkline([1.0, float("nan"), 1.0]) == "▁▁" and not sparkline([])


def test_picture_is_small_deterministic_and_says_what_it_shows(tmp_path: Path) -> None:
    def drawing() -> Drawing:
        figure = style.new_figure(5, 5)
        axes = style.tidy(figure.add_subplot(), "noise 雪")
        axes.imshow(np.random.default_rng(0).random((500, 500)))
        return Drawing(f"Noise; {HOSTILE[0]}", figure, "<table></table>")

    picture = render(drawing())
    assert len(picture.png) < 200_000 and picture.png == render(drawing()).png and b"Software" not in picture.png
    bundle = picture._repr_mimebundle_()
    check_html(bundle["text/html"])
    assert bundle["text/plain"] == picture.alt and "<table></table>" in bundle["text/html"]
    assert picture.save(tmp_path / "x.png").read_bytes() == picture.png
    assert Picture("only words")._repr_mimebundle_()["text/html"].count("<img") == 0


def test_a_picture_in_fewer_colours_keeps_the_rare_ones() -> None:
    from io import BytesIO

    from PIL import Image

    figure = style.new_figure(6, 5)
    axes = figure.add_subplot()
    axes.imshow(0.4 + 0.2 * np.random.default_rng(0).random((500, 500)), cmap="cividis_r", vmin=0, vmax=1)
    axes.plot([250], [250], "s", markersize=6, color="#FFEA46")  # as one end of a colour key, seen nowhere else
    picture = Image.open(BytesIO(render(Drawing("", figure)).png))
    assert picture.mode == "P"
    colours = [colour for _, colour in picture.convert("RGB").getcolors(256) or []]
    for wanted in ((255, 234, 70), (255, 255, 255)):
        assert min(max(abs(a - b) for a, b in zip(colour, wanted, strict=True)) for colour in colours) < 16


def test_importing_is_light_and_pyplot_is_never_imported(tmp_path: Path) -> None:
    run = make_run(tmp_path, record_of(), points_of(10, 1))
    code = (
        "import sys, peft_lab.present.card, peft_lab.views\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'pandas', 'PIL', 'IPython'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from peft_lab.present.card import run_card\nfrom peft_lab.run import Run\n"
        f"run_card(Run({str(run.path)!r}))\n"
        "assert not {'matplotlib.pyplot', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
