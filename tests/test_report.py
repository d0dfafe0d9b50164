"""The page to bring to a decision: true to its figures, escaped, needing nothing but itself, in two languages."""

from __future__ import annotations

import ast
import json
import re
import string
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import html5lib
import pytest
from made_study import LABELS, made_study, write_run

from peft_lab.errors import BadOption, RunProblem
from peft_lab.evidence import comparisons
from peft_lab.host import Host
from peft_lab.present.style import contrast
from peft_lab.reporting import gathering, report, texts_en, texts_ja
from peft_lab.reporting.answering import answer
from peft_lab.reporting.choosing import recommended
from peft_lab.reporting.judged import risk_of
from peft_lab.reporting.language import LANGUAGES, language
from peft_lab.reporting.look import DARK, LIGHT, READ_ON, css
from peft_lab.reporting.wording import wilson
from peft_lab.rows import StudyRows
from peft_lab.testing import tiny_lab

NASTY = '"><script>alert(1)</script><img src=http://evil.test/x.png onerror=a()>\u202e</style>`'
SAME = re.compile(r"separator|tile\.range|metric\.f1")
"""Texts of names and figures alone."""
CODE = sorted(Path(gathering.__file__).parent.glob("*.py"))


@pytest.fixture(scope="module")
def host():
    return Host(entry_points=False)


def parsed(page: str):
    """The page as a tree; html5lib in its strict mode raises at the first mistake."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)


def text_of(page: str) -> str:
    body = parsed(page).find("body")
    return " ".join("".join(body.itertext()).split())


def material(folder, host, monkeypatch=None, **settings):
    return gathering.of_study(made_study(folder, **settings), host)


@pytest.fixture(scope="module")
def pilot(tmp_path_factory, host):
    """A whole study with pictures, two failures, one run that waits, and a judgement."""
    folder = tmp_path_factory.mktemp("pilot")
    rows = made_study(folder, failing={("full", 1000, 2), ("full", 1000, 3)}, waiting={("adapter", 1000, 4)})
    judged = next(row for row in rows.rows if row.method == "lora" and row.examples == 1000)
    Path(judged.path, "judgement.json").write_text(json.dumps(JUDGEMENT), encoding="utf-8")
    return gathering.of_study(rows, host, file=str(folder / "studies" / "pilot" / "study.json"))


JUDGEMENT = {
    "format": 1,
    "run": "0001",
    "judged": "2026-11-30T10:00:00+00:00",
    "measures": {
        "quality": {"items": 400, "unit": "text"},
        "latency": {
            "unmerged": {"p50": 0.02, "p95": 0.03, "p99": 0.04, "texts_per_second": 90.0},
            "merged": {"p50": 0.012, "p95": 0.02, "p99": 0.031, "texts_per_second": 140.0},
            "device": "cpu",
        },
        "calibration": {"ece": 0.083, "ece_after": 0.021, "temperature": 1.4},
        "risk": {"asked": 0.05, "coverage_at": 0.74, "aurc": 0.02, "form": "A"},
        "harm": {"given": True, "price": 0.2, "all_answered": 0.6, "harm": 0.31, "coverage": 0.82},
        "churn": {"kind": "labels", "mean": 0.12, "runs": 5},
        "typos": {"score": 0.902, "at": [{"rate": 0.02, "score": 0.89}, {"rate": 0.05, "score": 0.851}]},
        "forgetting": {"kind": "representation", "apart": 0.18},
        "mistakes": {
            "kind": "labels",
            "classes": [{"label": "Travel", "there": 14, "right": 8}, {"label": "Building", "there": 90, "right": 86}],
            "surest": [
                {"text": "my badge <b>fails</b>", "truth": "Building", "answer": "Software", "confidence": 0.98}
            ],
        },
    },
}


# --- texts ------------------------------------------------------------------------------------------------------------


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_say_the_same():
    assert set(texts_en.TEXTS) == set(texts_ja.TEXTS)
    assert set(texts_en.METHODS) == set(texts_ja.METHODS)
    other = [key for key, text in texts_en.TEXTS.items() if places(text) != places(texts_ja.TEXTS[key])]
    assert not other


def test_every_text_is_used_and_every_text_that_is_asked_for_is_there():
    literals, beginnings = set(), set()
    for file in CODE:
        if file.stem.startswith("texts_"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                beginnings.add(str(node.values[0].value))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                literals.add(node.value)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                key = node.args[0]
                assert not isinstance(key, ast.Constant) or key.value in texts_en.TEXTS, f"{file.name}: {key.value}"
    families = tuple(start for start in beginnings if re.fullmatch(r"[a-z]+\.", start))
    unused = [key for key in texts_en.TEXTS if key not in literals and not key.startswith(families)]
    assert families and not unused


def test_every_built_in_method_has_a_sentence_in_both_languages(host):
    names = {name for name in host.offers("methods") if not name.startswith("peft:")}
    assert names == set(texts_en.METHODS) == set(texts_ja.METHODS)


def test_japanese_is_japanese():
    japanese = re.compile(r"[ぁ-んァ-ヶ一-龠（）／：]")
    assert not [key for key, text in texts_ja.TEXTS.items() if not japanese.search(text) and not SAME.search(key)]
    assert not [text for text in texts_ja.TEXTS.values() if re.search(r"[。、] ", text)]


@pytest.mark.parametrize(
    ("of", "english", "japanese"),
    [
        (lambda say: say.share(0.045), "4.50 %", "4.50%"),
        (lambda say: say.share(0.000004), "< 0.001 %", "0.001%未満"),
        (lambda say: say.count(22_713_216), "22.7 M", "2,271万"),
        (lambda say: say.count(125_000_000), "125 M", "1.2億"),
        (lambda say: say.count(28_032), "28,032", "28,032"),
        (lambda say: say.seconds(72), "1 min 12 s", "1分12秒"),
        (lambda say: say.seconds(7500), "2 h 5 min", "2時間5分"),
        (lambda say: say.seconds(0.012), "12 ms", "12ミリ秒"),
        (lambda say: say.date(datetime(2026, 11, 30, tzinfo=UTC)), "30 November 2026", "2026年11月30日"),
        (lambda say: say.listed(["a", "b", "c"]), "a, b and c", "a、b、c"),
        (lambda say: say.range(0.9, 0.95), "0.900 to 0.950", "0.900〜0.950"),
        (lambda say: say.difference(-0.0213), "−0.021", "−0.021"),
        (lambda say: say.difference(0.00001), "0.000", "0.000"),
    ],
)
def test_numbers_are_written_as_the_language_writes_them(of, english, japanese):
    assert (of(language("en")), of(language("ja"))) == (english, japanese)


def test_another_language_is_refused_with_those_there_are():
    with pytest.raises(BadOption, match="no texts in 'fr'.*en, ja"):
        language("fr")


# --- the page ---------------------------------------------------------------------------------------------------------


def must_need_nothing(page: str) -> None:
    """It is one whole page, and nothing in it is loaded from elsewhere or run."""
    tree = parsed(page)
    tags = {element.tag for element in tree.iter() if isinstance(element.tag, str)}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base", "audio", "video"}
    for element in tree.iter():
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on"), f"<{element.tag} {name}>"
            if name in ("src", "href", "srcset", "action", "data", "poster", "background"):
                assert value.startswith("data:image/png;base64,"), f"<{element.tag} {name}={value[:40]}>"
            if name == "style":
                assert "url(" not in value
    (style,) = tree.iter("style")
    assert "url(" not in style.text and "@import" not in style.text
    policy = next(m for m in tree.iter("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy.get("content")


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_page_of_a_study_needs_nothing_but_itself(pilot, code):
    page = report(pilot, code)
    must_need_nothing(page)
    tree = parsed(page)
    assert tree.get("lang") == code
    assert len(page.encode()) < 2_000_000
    assert [element.tag for element in tree.iter() if element.tag in ("h1", "h2")] == ["h1", *["h2"] * 10]
    pictures = list(tree.iter("img"))
    assert pictures and all(len(img.get("alt")) > 20 for img in pictures)


def test_no_place_is_left_unfilled_and_no_text_is_missing(pilot):
    for code in LANGUAGES:
        said = text_of(report(replace(pilot, rows=replace(pilot.rows, plan={}), records={}), code))
        assert not re.search(r"\{[a-z_]+\}|None|nan\b", said)


def test_the_answer_stands_before_everything_else(pilot):
    for code in LANGUAGES:
        page = report(pilot, code)
        first = answer(pilot, language(code))[0]
        assert page.index('class="answer"') < page.index("<h2>")
        assert first in text_of(page).split(texts(code)["compared.title"])[0]


def texts(code: str):
    return (texts_ja if code == "ja" else texts_en).TEXTS


def test_failures_and_missing_cells_are_told(pilot):
    said = text_of(report(pilot))
    assert "2 of 95 trainings failed" in said and "1 of 95 trainings have not ended" in said
    assert said.count("out of memory: 3.1 GB are needed, 1.2 GB are free") == 2
    assert "3 (2 failed)" in said and "4 (1 missing)" in said


def test_what_was_judged_is_told(pilot):
    english, japanese = (text_of(report(pilot, code)) for code in LANGUAGES)
    for said in ("12 ms", "8.3 % apart", "answer 74 % of all texts alone", "12 % of the texts get another answer"):
        assert said in english
    assert "a text costs 0.6 on average" in english and "it costs 0.31" in english
    assert "my badge <b>fails</b>" in english and "my badge <b>fails</b>" in japanese
    assert "With 5 % of all letters mistyped its score is 0.851, without typing mistakes 0.902" in english
    assert "全体の74%です" in japanese


def test_the_way_back_is_that_of_the_pages_about_keeping(pilot):
    page = Path(__file__).parents[1].joinpath("docs", "keeping.md").read_text(encoding="utf-8")
    for code in LANGUAGES:
        commands = re.findall(
            r"%peft (\w+)", re.search(r'<section id="next">.*?</section>', report(pilot, code), re.S)[0]
        )
        assert {"save", "load", "rollback"} <= set(commands)
        assert all(f"%peft {command}" in page for command in commands)


def test_the_run_to_put_in_use_is_chosen_on_validation(tmp_path, host):
    rows = made_study(tmp_path, methods=("lora",), sizes=(100,), seeds=3, baselines=False)
    best_on_test, best_on_validation = rows.rows[0], rows.rows[1]
    changed = [
        replace(best_on_test, test={"accuracy": 0.99}, validation={"accuracy": 0.5}),
        replace(best_on_validation, test={"accuracy": 0.5}, validation={"accuracy": 0.99}),
        rows.rows[2],
    ]
    made = gathering.of_study(replace(rows, rows=tuple(changed)), host)
    assert made.run_of("lora").path == best_on_validation.path


def test_colours_can_be_read_in_light_and_dark():
    for colours in (LIGHT, DARK):
        for text, grounds in READ_ON.items():
            for ground in grounds:
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    used = set(re.findall(r"var\(--(\w+)\)", css()))
    assert used <= set(LIGHT) == set(DARK)


def test_paper_is_light_even_on_a_dark_screen():
    assert "@media screen and (prefers-color-scheme:dark)" in css()
    assert css().count("prefers-color-scheme") == 1


# --- answers ----------------------------------------------------------------------------------------------------------


def said(made, code: str = "en") -> str:
    return " ".join(answer(made, language(code)))


def test_a_clear_winner(tmp_path, host):
    made = material(tmp_path, host, methods=("lora", "bitfit", "sparse+anchor"), sizes=(1000,), seeds=6, noise=0.002)
    assert "lora did best: accuracy (test) 0.888" in said(made)
    assert "ahead of all 2 other methods by more than chance explains" in said(made)
    assert "Compared with output layer only (head), lora gains" in said(made)
    assert recommended(made) == "lora"


def test_one_other_method_is_named(tmp_path, host):
    made = material(tmp_path, host, methods=("lora", "bitfit"), sizes=(1000,), seeds=6, noise=0.002)
    assert "It is ahead of bitfit by more than chance explains" in said(made)


def test_a_lead_at_the_largest_size_alone_is_not_called_shown(tmp_path, host):
    """The page and the study's own table must not give two answers."""
    rows = made_study(tmp_path, methods=("lora", "bitfit"), sizes=(100, 1000), seeds=3, noise=0.0).rows
    scores = {("lora", 100): (0.50, 0.50, 0.50), ("bitfit", 100): (0.46, 0.56, 0.53)}
    scores |= {("lora", 1000): (0.80, 0.81, 0.82), ("bitfit", 1000): (0.77, 0.78, 0.7905)}
    rows = tuple(
        replace(row, test={**row.test, "accuracy": scores.get((row.method, row.examples), (0.3,) * 3)[row.seed]})
        for row in rows
    )
    study = StudyRows("pilot", {"methods": ["lora", "bitfit"]}, rows)
    assert [c.verdict for c in comparisons(study, examples=1000)] == ["worse"]
    assert [c.verdict for c in comparisons(study)] == ["no difference shown"]
    made = gathering.of_study(study, host)
    assert said(made).startswith("No difference is shown: lora has the highest accuracy")
    assert "a lead over bitfit that chance hardly explains where it counts most (1,000 training texts" in said(made)
    assert "the one to go on with" not in said(made) and recommended(made) == "lora"
    assert "偶然では説明しにくい" in said(made, "ja")


def scored(folder, host, scores: dict[str, tuple[float, ...]], **settings):
    """A study of one size with these scores by method and seed."""
    methods = tuple(name for name in scores if name not in ("untrained", "head"))
    seeds = len(next(iter(scores.values())))
    study = made_study(folder, methods=methods, sizes=(1000,), seeds=seeds, noise=0.0, **settings)
    rows = [
        replace(row, test={**row.test, "accuracy": scores[row.method][row.seed]}) if row.status == "finished" else row
        for row in study.rows
        if row.method in scores
    ]
    return gathering.of_study(replace(study, rows=tuple(rows)), host)


UNTRAINED_SCORES = (0.30, 0.31, 0.29, 0.30)


def test_what_learned_nothing_is_not_named_although_no_difference_is_shown(tmp_path, host):
    """Few seeds that differ much show nothing between what learned and what did not."""
    learned = {"lora": (0.95, 0.35), "bitfit": (0.333, 0.333), "untrained": (0.333, 0.333)}
    made = scored(tmp_path, host, learned)
    assert made.contrast("bitfit").verdict == "no difference shown"
    assert recommended(made) == "lora"
    assert "These figures do not decide: not even for lora is a gain over no training (untrained) shown" in said(made)
    needed = made.contrast("bitfit").needed
    assert needed > 2 and f"it takes about {needed} repetitions to show it" in said(made)
    assert "(95 % interval −1.000 to +1.000)" in said(made)  # no two scores are farther apart
    assert "If lora is tried all the same" in text_of(report(made)) and "the one to try is" not in text_of(report(made))
    assert "no reason" not in said(made)
    assert "今回の数値では決められません。loraでさえ" in said(made, "ja")


def test_one_that_trains_less_is_named_where_it_is_hardly_behind_and_has_learned(tmp_path, host):
    scores = {"lora": (0.90, 0.91, 0.90, 0.89), "bitfit": (0.90, 0.905, 0.895, 0.89), "untrained": UNTRAINED_SCORES}
    made = scored(tmp_path, host, scores)
    low = made.contrast("bitfit").low
    assert -0.02 < low < 0 and recommended(made) == "bitfit"
    assert "bitfit is the one to go on with: it trains less of the model (0.12 % against 0.65 %)" in said(made)
    assert f"at most {-low:.3f} behind lora. Up to 0.020 counts as little" in said(made)
    mean = next(cell for cell in made.at_place() if cell.method == "bitfit")
    assert f"The mean of bitfit is to be expected in the range {mean.low:.3f} to {mean.high:.3f}" in said(made)
    gain = next(one for one in made.over if one.method == "bitfit")
    assert f"bitfit gains +{gain.difference:.3f} (95 % interval +{gain.low:.3f} to +{gain.high:.3f})" in said(made)
    assert "lora gains" not in said(made)
    assert "次に進める候補はbitfitです" in said(made, "ja")


def test_one_that_trains_less_is_not_named_where_it_may_be_far_behind(tmp_path, host):
    scores = {"lora": (0.90, 0.91, 0.90, 0.89), "bitfit": (0.91, 0.87, 0.91, 0.86), "untrained": UNTRAINED_SCORES}
    made = scored(tmp_path, host, scores)
    assert made.contrast("bitfit").low < -0.02 and recommended(made) == "lora"
    assert f"but may be as much as {-made.contrast('bitfit').low:.3f} behind" in said(made)
    assert "lora gains" in said(made) and "bitfit gains" not in said(made)


def test_one_that_trains_less_is_not_named_without_a_gain_of_its_own(tmp_path, host):
    """Close to the best, but nothing shows that it is ahead of the untrained head."""
    scores = {"lora": (0.90, 0.91, 0.90, 0.91), "bitfit": (0.90, 0.90, 0.89, 0.915)}
    made = scored(tmp_path, host, {**scores, "untrained": (0.893, 0.904, 0.894, 0.903)})
    assert made.contrast("bitfit").low > -0.02 and recommended(made) == "lora"
    assert "no gain of it over no training (untrained) is shown" in said(made)


def test_one_that_trains_less_is_not_named_where_more_of_it_failed(tmp_path, host):
    scores = {"lora": (0.90, 0.91, 0.90, 0.89), "bitfit": (0.90, 0.905, 0.895, 0.89), "untrained": UNTRAINED_SCORES}
    made = scored(tmp_path, host, scores, failing={("bitfit", 1000, 3)})
    assert recommended(made) == "lora" and "but more of its trainings failed" in said(made)


def test_none_has_the_highest_score_where_all_are_the_same(tmp_path, host):
    same = dict.fromkeys(("lora", "bitfit", "untrained"), (0.333, 0.333, 0.333))
    made = scored(tmp_path, host, same)
    assert said(made).startswith(
        "No difference is shown: lora and bitfit have the same accuracy (test) on average, 0.333"
    )
    assert "highest" not in said(made) and "いずれも0.333です" in said(made, "ja")


def test_runs_are_not_said_to_train_least_where_they_do_not(tmp_path, host):
    scores = {"full": (0.90, 0.91), "bitfit": (0.88, 0.90)}
    runs = [
        write_run(tmp_path / f"{method}-{seed}", method, seed=seed, score=score)
        for method, of in scores.items()
        for seed, score in enumerate(of)
    ]
    made = gathering.of_runs(runs, host)
    assert "bitfit trains less of the model (0.12 % against 99.4 %)" in said(made)
    assert "none of the others trains less" not in said(made) and "least" not in said(made)
    for run in runs:
        record = json.loads((run.path / "run.json").read_text())
        del record["cost"]
        (run.path / "run.json").write_text(json.dumps(record))
    unknown = gathering.of_runs([type(run)(run.path) for run in runs], host)
    assert said(unknown).startswith("No difference is shown") and "trains less" not in said(unknown)


def test_the_best_of_those_alike_is_said_to_train_least_where_it_does(tmp_path, host):
    scores = {"lora": (0.90, 0.89, 0.91, 0.90), "full": (0.89, 0.90, 0.90, 0.89), "untrained": UNTRAINED_SCORES}
    made = scored(tmp_path, host, scores)
    assert recommended(made) == "lora"
    assert "lora is the one to go on with: none of the others trains less of the model (0.65 %)" in said(made)


def test_one_seed_is_no_proof(tmp_path, host):
    made = material(tmp_path, host, methods=("full", "lora"), sizes=(300,), seeds=1)
    assert "whether it is really better was not shown" in said(made)
    assert "Each training was done once" in text_of(report(made))


def test_a_study_without_a_finished_run(tmp_path, host):
    rows = made_study(
        tmp_path,
        methods=("lora",),
        sizes=(100,),
        seeds=2,
        baselines=False,
        failing={("lora", 100, 0), ("lora", 100, 1)},
    )
    made = gathering.of_study(rows, host)
    for code in LANGUAGES:
        must_need_nothing(report(made, code))
    assert said(made).startswith("There is no answer yet")


def test_an_empty_study(host):
    made = gathering.of_study(StudyRows("empty", {}, ()), host)
    for code in LANGUAGES:
        must_need_nothing(report(made, code))


def test_one_run_says_what_chance_leaves_open(tmp_path, host):
    run = write_run(tmp_path / "run-7", "lora", score=0.9, test=100)
    made = gathering.of_runs([run], host)
    low, high = wilson(0.9, 100)
    assert f"in the range {low:.3f} to {high:.3f}" in said(made)
    assert "lora reached accuracy (test) 0.900" in said(made)
    page = report(made)
    must_need_nothing(page)
    assert "%peft save run-7" in page and "%peft judge run-7" in page


def test_wilson_is_that_of_the_books():
    low, high = wilson(0.9, 100)
    assert (low, high) == (pytest.approx(0.82563, abs=1e-4), pytest.approx(0.94478, abs=1e-4))


def test_without_a_test_split_it_says_that_scores_flatter(tmp_path, host):
    made = gathering.of_runs([write_run(tmp_path / "run-1", "lora", score=0.9, test=0)], host)
    assert "somewhat too good" in text_of(report(made))


def with_answers(folder: Path, name: str, method: str, right: list[bool]):
    """A run with the artifact that tells its answers text by text."""
    import numpy as np
    from safetensors.numpy import save_file

    run = write_run(folder / name, method, score=sum(right) / len(right), test=len(right))
    place = run.path / "artifacts"
    place.mkdir()
    outputs = np.zeros((len(right), 2), np.float32)
    outputs[np.arange(len(right)), [0 if one else 1 for one in right]] = 1
    save_file({"outputs": outputs, "label": np.zeros(len(right), np.int64)}, place / "test-answers.safetensors")
    arrays = {"outputs": {"axes": ["text", "label"], "labels": {}}, "label": {"axes": ["text"], "labels": {}}}
    about = {"kind": "test-answers", "note": "", "arrays": arrays}
    (place / "test-answers.json").write_text(json.dumps(about), encoding="utf-8")
    return run


def test_two_runs_are_compared_text_by_text(tmp_path, host):
    one = with_answers(tmp_path, "run-1", "lora", [True] * 90 + [False] * 10)
    other = with_answers(tmp_path, "run-2", "bitfit", [True] * 60 + [False] * 40)
    better = gathering.of_runs([one, other], host)
    assert "lora is better than bitfit on the 100 test texts" in said(better)
    assert "30 texts are right with lora only, 0 with bitfit only; 60 with both, 10 with neither" in said(better)
    turned = gathering.of_runs([other, one], host)
    assert "lora is better than bitfit" in said(turned) and "30 texts are right with lora only" in said(turned)
    same = gathering.of_runs([one, with_answers(tmp_path, "run-3", "full", [False] + [True] * 90 + [False] * 9)], host)
    assert said(same).startswith("No difference is shown between lora and full")
    must_need_nothing(report(better, "ja"))


def test_runs_of_one_method_with_other_settings_keep_their_names(tmp_path, host):
    runs = [write_run(tmp_path / "run-1", "lora"), write_run(tmp_path / "run-2", "lora", budget=30.0)]
    assert [row.method for row in gathering.rows_of(runs).rows] == ["lora (run-1)", "lora (run-2)"]
    seeds = [write_run(tmp_path / f"run-{n}", "lora", seed=n) for n in (3, 4)]
    assert [row.method for row in gathering.rows_of(seeds).rows] == ["lora", "lora"]


def on_data(folder, host, data: dict[str, tuple[str, str]], seeds: int):
    """Runs of methods, each on data of a name and a hash."""
    runs = []
    for method, (source, mark) in data.items():
        for seed in range(seeds):
            run = write_run(folder / f"{method}-{source}-{mark}-{seed}", method, seed=seed, source=source)
            record = json.loads((run.path / "run.json").read_text())
            record["fingerprints"]["data"] = mark * 64
            record["metrics"]["test"]["accuracy"] = {"full": 0.9, "bitfit": 0.6}[method] + seed / 100
            (run.path / "run.json").write_text(json.dumps(record))
            runs.append(type(run)(run.path))
    return gathering.of_runs(runs, host)


@pytest.mark.parametrize("seeds", [1, 3])
def test_runs_on_different_data_have_no_answer(tmp_path, host, seeds):
    made = on_data(tmp_path, host, {"full": ("a.csv", "a"), "bitfit": ("b.csv", "b")}, seeds)
    assert not made.contrasts and not made.over and made.pair is None and recommended(made) == ""
    assert said(made).startswith(
        "These trainings cannot be compared: they used 2 different sets of data (full on a.csv"
    )
    assert "これらの学習は比較できません" in said(made, "ja")
    assert "cost" not in [figure.what for figure in made.figures]
    for code in LANGUAGES:
        page = report(made, code)
        must_need_nothing(page)
        assert not [word for word in (texts(code)["verdict.best"], "%peft save") if word in page]
    page = text_of(report(made))
    assert "None of these trainings can be named before the others" in page and "highest" not in page
    assert "trained on a.csv and b.csv" in page
    same = on_data(tmp_path / "same", host, {"full": ("a.csv", "a"), "bitfit": ("a.csv", "a")}, 3)
    assert same.contrasts and recommended(same) == "full"


def test_a_file_that_changed_between_runs_is_other_data(tmp_path, host):
    made = on_data(tmp_path, host, {"full": ("a.csv", "a"), "bitfit": ("a.csv", "b")}, 2)
    assert "full on a.csv (aaaaaaaa) and bitfit on a.csv (bbbbbbbb)" in said(made)
    runs = [write_run(tmp_path / f"run-{n}", "lora", seed=n) for n in (0, 1)]
    record = json.loads((runs[1].path / "run.json").read_text())
    record["fingerprints"]["data"] = "e" * 64
    (runs[1].path / "run.json").write_text(json.dumps(record))
    changed = gathering.of_runs([type(run)(run.path) for run in runs], host)
    assert {row.method for row in changed.rows.rows} == {"lora (run-0)", "lora (run-1)"}
    assert said(changed).startswith("These trainings cannot be compared")


def test_one_size_has_no_smaller_parts(tmp_path, host):
    """Without training there are no rows, as studies have it, and that is no size."""
    study = made_study(tmp_path, methods=("lora",), sizes=(100,), seeds=2)
    rows = tuple(replace(row, examples=0) if row.method == "untrained" else row for row in study.rows)
    assert texts("en")["data.nested"] not in text_of(report(gathering.of_study(replace(study, rows=rows), host)))
    more = made_study(tmp_path / "more", methods=("lora",), sizes=(100, 300), seeds=2)
    assert texts("en")["data.nested"] in text_of(report(gathering.of_study(more, host)))


def test_time_limits_say_that_some_had_none(tmp_path, host):
    study = made_study(tmp_path, methods=("lora",), sizes=(100,), seeds=2)
    short = [replace(row, budget=1.0) for row in study.rows if row.method != "untrained"]
    made = gathering.of_study(replace(study, rows=(*study.rows, *short)), host)
    assert "Time limits: at most 1.0 s of training and no time limit." in text_of(report(made))
    assert "学習時間1.0秒以内、時間制限なし" in text_of(report(made, "ja"))
    only = [row for row in study.rows if row.method == "untrained"]
    assert "Time limits: at most 1.0 s of training. " in text_of(
        report(gathering.of_study(replace(study, rows=(*short, *only)), host))
    )


@pytest.mark.parametrize(
    ("lora", "untrained", "told"), [(0.34, 0.333, False), (0.9, 0.333, True), ((0.9, 0.3), 0.333, False)]
)
def test_few_texts_are_enough_only_where_training_brought_something(tmp_path, host, lora, untrained, told):
    """What the untrained head reaches as well was reached with no text at all."""
    study = made_study(tmp_path, methods=("lora", "bitfit"), sizes=(100, 1000), seeds=4)
    of = {"lora": lora if isinstance(lora, tuple) else (lora, lora), "untrained": (untrained, untrained)}
    of["bitfit"] = (0.3, 0.3)
    rows = tuple(
        replace(
            row,
            examples=0 if row.method == "untrained" else row.examples,
            test={"accuracy": of[row.method][row.seed % 2] + row.seed / 1000},
        )
        for row in study.rows
        if row.method in of
    )
    made = gathering.of_study(replace(study, rows=rows), host)
    assert ("lora already reaches 95 % of the best score with 100 training texts" in said(made)) == told


# --- what comes from data ---------------------------------------------------------------------------------------------


def test_names_and_texts_of_others_stay_texts(tmp_path, host):
    labels = {NASTY: 12, **LABELS}
    settings = {"source": NASTY, "labels": labels, "notes": [NASTY], "data_notes": [NASTY], "model": NASTY}
    rows = made_study(tmp_path, methods=("lora",), sizes=(100, 200), seeds=2, name=NASTY, **settings)
    failed = replace(rows.rows[0], status="failed", error=NASTY, method=NASTY)
    made = gathering.of_study(replace(rows, rows=(failed, *rows.rows), plan={"data": NASTY, "methods": [NASTY]}), host)
    judgement = json.loads(json.dumps(JUDGEMENT))
    judgement["measures"]["mistakes"]["surest"][0] |= {"text": NASTY, "truth": NASTY, "answer": NASTY}
    judgement["measures"]["mistakes"]["classes"][0]["label"] = NASTY
    made = replace(made, risks=(risk_of(judgement, NASTY, NASTY),), study_file=NASTY, summaries={NASTY: NASTY})
    for code in LANGUAGES:
        page = report(made, code)
        must_need_nothing(page)
        assert "\u202e" not in page and "\\u202e" in page
        assert "<script>alert(1)" in text_of(page)  # it is there, as text


def test_a_large_study_stays_a_page_that_can_be_sent(tmp_path, host):
    long = "x" * 3000
    methods = tuple(f"lora+{name}" for name in "abcdefghijkl")
    rows = made_study(
        tmp_path,
        methods=methods,
        sizes=(100, 300, 1000, 3000),
        seeds=5,
        labels={f"{long}{n}": n for n in range(300)},
        notes=[long],
    )
    judged = [row for row in rows.rows if row.seed == 0 and row.examples == 3000]
    data = json.loads(json.dumps(JUDGEMENT))
    data["measures"]["mistakes"]["surest"] = [{"text": long, "truth": long, "answer": long, "confidence": 0.9}] * 50
    for row in judged:
        Path(row.path, "judgement.json").write_text(json.dumps(data), encoding="utf-8")
    made = gathering.of_study(replace(rows, plan={"methods": list(methods), "note": long * 20}), host)
    page = report(made)
    must_need_nothing(page)
    assert len(page.encode()) < 2_000_000


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"measures": {"mistakes": {"surest": [3], "classes": [null]}, "typos": {"at": 3}}}',
        '{"measures": {"typos": {"at": [{"rate": "x"}]}, "mistakes": 3, "latency": {"merged": 0}}}',
    ],
)
def test_a_judgement_that_lacks_everything_says_nothing(tmp_path, host, content):
    run = write_run(tmp_path / "run-1", "lora")
    (run.path / "judgement.json").write_text(content, encoding="utf-8")
    must_need_nothing(report(gathering.of_runs([run], host)))


# --- the command ------------------------------------------------------------------------------------------------------


def test_a_report_of_real_runs_is_written_and_written_again(tmp_path):
    lab = tiny_lab(tmp_path)
    runs = [lab.train(method, epochs=1, batch_size=16) for method in ("head", "bitfit")]
    page = tmp_path / "two.html"
    table = lab.report(str(page), *(run.id for run in runs), language="ja")
    must_need_nothing(page.read_text(encoding="utf-8"))
    assert "answer" in str(table) and runs[1].id in page.read_text(encoding="utf-8")
    lab.report(str(page), runs[0].id)
    assert parsed(page.read_text(encoding="utf-8")).get("lang") == "en"
    page.write_text("my notes", encoding="utf-8")
    with pytest.raises(RunProblem, match="is no report"):
        lab.report(str(page), runs[0].id)
    lab.report(str(page), runs[0].id, replace=True)
    with pytest.raises(BadOption, match="no name of a page"):
        lab.report(str(tmp_path / "page.pdf"), runs[0].id)
    with pytest.raises(RunProblem, match="no folder"):
        lab.report(str(tmp_path / "nowhere" / "page.html"), runs[0].id)
    with pytest.raises(BadOption, match="about a study or about runs"):
        lab.report(str(page), runs[0].id, study="pilot")


def test_a_view_that_fails_costs_its_picture_only(tmp_path, host, monkeypatch):
    cls = host.find("views", "comparison")
    monkeypatch.setattr(cls, "draw", lambda self, runs: 1 / 0)
    made = material(tmp_path, host, methods=("lora",), sizes=(100,), seeds=2)
    assert "cost" not in [figure.what for figure in made.figures]
    must_need_nothing(report(made))
