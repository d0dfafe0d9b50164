"""A line and a cell body become an operation with its arguments, or one line that says what is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from pydantic import Field

from peft_lab.cli.line import understood
from peft_lab.errors import BadOption, PeftLabError, UnknownName
from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.notebook.parsing import Call, parse
from peft_lab.notebook.words import is_quiet, split
from peft_lab.operations import operations_of, options_of
from peft_lab.recipe import Training, compose
from pluggy_specs import Drawing, Method, Options, View

OPERATIONS = operations_of(Lab)
ASKED = OPERATIONS["predict"].arguments[0].name


class Made(Method):
    name = "made"
    summary = "for tests"
    training = {"learning_rate": 5e-3}

    class Options(Options):
        rank: int = Field(8, ge=1, description="how large")
        targets: tuple[Literal["query", "value"] | str, ...] = Field(("query",), description="where")
        start: bool | Literal["normal"] = True
        fast: bool = False
        steady: bool = True
        parts: dict[str, int] = {}
        rules: tuple[str, ...] = Field((), description="what to leave out", json_schema_extra={"whole": True})

    def masks(self, model):
        return {}


class Other(Made):
    name = "other"

    class Options(Options):
        rank: int = 4
        depth: float = 1.0


class Drawn(View):
    name = "drawn"
    summary = "for tests"

    class Options(Options):
        bins: int = 4

    def draw(self, runs):
        return Drawing("")


@pytest.fixture(scope="module")
def host():
    host = Host((), entry_points=False)
    for item in (Made, Other, Drawn):
        host.add(item)
    return host


@pytest.fixture
def read(host):
    return lambda line, body=None: parse(line, body, OPERATIONS, lambda: host)


def given(call):
    assert isinstance(call, Call)
    return {"do": call.operation.name, **call.given}


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("a 'b c' \"d e\"", ["a", "b c", "d e"]),
        ("it doesn't work", ["it", "doesn't", "work"]),
        ("--x='a b' c", ["--x=a b", "c"]),
        (r"C:\data\x.csv .*\.q", [r"C:\data\x.csv", r".*\.q"]),
        ("a;", ["a"]),
        ("a ;", ["a"]),
        ('a "b;"', ["a", "b;"]),
        ("a ''", ["a", ""]),
        ("a # it's a remark", ["a"]),
        ("issue #5 in C#", ["issue", "#5", "in", "C#"]),
        ("", []),
    ],
)
def test_words(line, words):
    assert [word.text for word in split(line)] == words


# --- lines ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("", {"do": "status"}),
        ("  ", {"do": "status"}),
        ("status;", {"do": "status"}),
        ("train made", {"do": "train", "methods": "made"}),
        ("train made --rank 8", {"do": "train", "methods": "made", "made.rank": 8}),
        ("train made --made.rank=8", {"do": "train", "methods": "made", "made.rank": 8}),
        ("train --rank 8 made", {"do": "train", "methods": "made", "made.rank": 8}),
        ("train --fast made", {"do": "train", "methods": "made", "made.fast": True}),
        ("train made --no-steady", {"do": "train", "methods": "made", "made.steady": False}),
        ("train made --fast=no", {"do": "train", "methods": "made", "made.fast": False}),
        ("train --model made made", {"do": "train", "model": "made", "methods": "made"}),
        ("train made --learning-rate 3e-4", {"do": "train", "methods": "made", "learning_rate": 3e-4}),
        ("train made --learning_rate=3e-4", {"do": "train", "methods": "made", "learning_rate": 3e-4}),
        ("train made --batch-size 1e2", {"do": "train", "methods": "made", "batch_size": 100}),
        ("train made --clip -1e-3", {"do": "train", "methods": "made", "clip": -1e-3}),
        ("train made --seed 3", {"do": "train", "methods": "made", "seed": 3}),
        (
            "train made --targets query,x.dense",
            {"do": "train", "methods": "made", "made.targets": ["query", "x.dense"]},
        ),
        ("train made --targets 'query value'", {"do": "train", "methods": "made", "made.targets": ["query", "value"]}),
        ("train made --rules 'a{2,5}, b'", {"do": "train", "methods": "made", "made.rules": ["a{2,5}, b"]}),
        (
            """train made --rules='[a-z], \\d' --made.rules '\\{"name": "x"' --rules a""",
            {"do": "train", "methods": "made", "made.rules": [r"[a-z], \d", r'\{"name": "x"', "a"]},
        ),
        ("train made --rules '[\"a\", b]'", {"do": "train", "methods": "made", "made.rules": ['["a", b]']}),
        ("train made --rules ''", {"do": "train", "methods": "made", "made.rules": []}),
        ("train made --start normal", {"do": "train", "methods": "made", "made.start": "normal"}),
        ("train made --start false", {"do": "train", "methods": "made", "made.start": False}),
        ("train made --parts '{a: 1}'", {"do": "train", "methods": "made", "made.parts": {"a": 1}}),
        ("train made+other --depth 2", {"do": "train", "methods": "made+other", "other.depth": 2.0}),
        ("train made+other --rank 2", {"do": "train", "methods": "made+other", "rank": 2}),
        ("show drawn run-1 --bins 9", {"do": "show", "what": "drawn", "names": ["run-1"], "bins": 9}),
        ("show run-1", {"do": "show", "what": "run-1"}),
        ("compare run-1 --against seconds 2", {"do": "compare", "names": ["run-1", "2"], "against": "seconds"}),
        ("predict 2 'my badge' -3 -- --help", {"do": "predict", ASKED: "2", "texts": ["my badge", "-3", "--help"]}),
        ("predict 2 '--quoted'", {"do": "predict", ASKED: "2", "texts": ["--quoted"]}),
        ("data a.csv --text-pair b --limit 5", {"do": "data", "source": "a.csv", "text_pair": "b", "limit": 5}),
        ("problems --details", {"do": "problems", "details": True}),
    ],
)
def test_lines(read, line, values):
    assert given(read(line)) == values


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("trian made", "no command named 'trian'. Did you mean 'train'?"),
        ("made", "'made' is a method, not a command. Did you mean 'train made'?"),
        ("train mad", "no method named 'mad'. Did you mean 'made'?"),
        ("train made --rnk 8", "train has no --rnk. Did you mean '--rank'?"),
        ("train made --ran 8", "train has no --ran. Did you mean '--rank'?"),
        ("train made --lerning-rate 1", "train has no --lerning-rate. Did you mean '--learning-rate'?"),
        ("train made --depth 2", "train has no --depth"),
        ("train made --rank", "--rank needs a whole number after it"),
        ("train made --rank --fast", "--rank needs a whole number after it"),
        ("train made --rank x", "--rank takes a whole number, not 'x'. It means: how large"),
        ("train made --rank 1.5", "--rank takes a whole number, not '1.5'"),
        ("train made --fast=perhaps", "--fast takes yes or no, not 'perhaps'"),
        ("train made --schedule cosin", "--schedule cannot be 'cosin'. Did you mean 'cosine'?"),
        ("train made --rank 1 --rank 2", "--rank is written twice"),
        ("train made --rank 1 --made.rank 2", "made.rank is given twice: --rank says 1, --made.rank says 2"),
        ("train made rank=8", "'rank=8' is one word too many for train. Did you mean --rank=8?"),
        ("train made --rules a b", "'b' is one word too many for train. Put text with blanks in quotes"),
        ("train made --targets x --targets y", "--targets is written twice"),
        ("train made --targets query value", "Several values are written with commas: --targets a,b"),
        ("train made -r 8", "-r is no flag"),
        ("train made --into 3", "--into needs a name, not '3'"),
        ("train", "train needs methods"),
        ("train --rank 8", "train needs methods"),
        ("runs now", "'now' is one word too many for runs. It takes none"),
        ('predict 2 "my badge', 'a quote " is not closed'),
    ],
)
def test_what_is_wrong_with_a_line(read, line, said):
    with pytest.raises(PeftLabError) as caught:
        read(line)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("train made --into best", None),
        ("train made --into=best", None),
        ("train --into best made;", None),
        ("train made", "into: best"),
        ("train made --into best", "into: best"),
    ],
)
def test_into(read, line, body):
    assert read(line, body).into == "best"


@pytest.mark.parametrize(
    ("line", "body", "said"),
    [
        ("train made --into", None, "--into needs a name after it"),
        ("train made --into --rank 3", None, "--into needs a name after it"),
        ("train made --into a.b", None, "--into needs a name, not 'a.b'. Such as --into run"),
        ("train made --into class", None, "--into needs a name, not 'class'"),
        ("train made --into a --into b", None, "the result cannot go into 'a' and into 'b'"),
        ("train made --into a", "into: b", "the result cannot go into 'a' and into 'b'"),
        ("train made", "rank: 2\ninto: 3", "line 3 of the cell needs a name, not '3'"),
        ("train made", "into: [a]", "line 2 of the cell needs a name"),
    ],
)
def test_into_what(read, line, body, said):
    with pytest.raises(BadOption) as caught:
        read(line, body)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("line", "quiet"), [("runs;", True), ("runs ;", True), ("runs", False), ("predict 1 'a;'", False)]
)
def test_a_semicolon_hides(line, quiet):
    assert is_quiet(line) is quiet


def test_line_and_body_make_a_recipe(read, host):
    call = read("train made", "rank: 3\nlearning_rate: 3e-4\nepochs: 2")
    settings = {k: v for k, v in call.given.items() if k != "methods"}
    recipe = compose(host, "made", settings, model="m", data={"source": "d"})
    assert (recipe.methods[0].options["rank"], recipe.training.learning_rate, recipe.training.epochs) == (3, 3e-4, 2)


def test_patterns_reach_the_method_as_they_are_typed():
    builtin = Host(entry_points=False)
    typed = r"""train lora+rft --roles regex --patterns '\{"name": "[a-z]{2,5}"' --patterns 'Thought: .*, \w+'"""
    words = ["train", "lora+rft", "--roles", "regex", "--patterns", r'\{"name": "[a-z]{2,5}"']
    words += [r"--patterns=Thought: .*, \w+"]
    for call in (parse(typed, None, OPERATIONS, lambda: builtin), understood(words, lambda: builtin).call):
        settings = {k: v for k, v in call.given.items() if k != "methods"}
        recipe = compose(builtin, "lora+rft", settings, model="m", data={"source": "d"})
        assert recipe.methods[1].options["patterns"] == [r'\{"name": "[a-z]{2,5}"', r"Thought: .*, \w+"]


def test_an_option_of_two_methods_is_asked_back(read, host):
    call = read("train made+other --rank 2")
    with pytest.raises(BadOption, match=r"made\.rank or other\.rank"):
        compose(host, "made+other", {"rank": call.given["rank"]}, model="m", data={"source": "d"})


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "body", "values"),
    [
        ("train made", "", {"methods": "made"}),
        ("train made", "\n# NBVAL_IGNORE_OUTPUT\n", {"methods": "made"}),
        ("train made", "learning_rate: 3e-4  # small", {"methods": "made", "learning_rate": 3e-4}),
        ("train made", "learning-rate: 3e-4", {"methods": "made", "learning_rate": 3e-4}),
        ("train", "methods: made\nrank: 4", {"methods": "made", "made.rank": 4}),
        (
            "train made",
            "made:\n  rank: 4\n  targets: [query, x]",
            {"methods": "made", "made.rank": 4, "made.targets": ["query", "x"]},
        ),
        ("train made", "targets: query", {"methods": "made", "made.targets": ["query"]}),
        (
            "train made",
            "rules: ['a{2,5}, b', c d]",
            {"methods": "made", "made.rules": ["a{2,5}, b", "c d"]},
        ),
        ("train made", "rules: 'a, b'", {"methods": "made", "made.rules": ["a, b"]}),
        ("train made", "parts: {a: 1}", {"methods": "made", "made.parts": {"a": 1}}),
        ("train made", "fast: yes\nmax_steps: null", {"methods": "made", "made.fast": True, "max_steps": None}),
        ("train made --rank 4", "rank: 4", {"methods": "made", "made.rank": 4}),
        ("data a.csv", "label: on\ntext: 7", {"source": "a.csv", "label": "on", "text": "7"}),
        ("predict 2", "texts: [one, two]", {ASKED: "2", "texts": ["one", "two"]}),
        ("predict 2", "texts: just one", {ASKED: "2", "texts": ["just one"]}),
    ],
)
def test_bodies(read, line, body, values):
    assert read(line, body).given == values


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "epochs: 3\nlearning_rat: 1",
            "line 3 of the cell: train has no 'learning_rat'. Did you mean 'learning_rate'?",
        ),
        ("\nrank: eight", "line 3 of the cell: rank takes a whole number, not 'eight'. It means: how large"),
        ("made:\n  rnk: 8", "line 3 of the cell: train has no 'made.rnk'. Did you mean 'rank'?"),
        ("epochs 3", "line 2 of the cell has no 'name: value'"),
        ("a: b: c", "line 2 of the cell is no YAML: mapping values are not allowed here"),
        ("rank: 8\n\tepochs: 3", "line 3 of the cell is no YAML"),
        ("rank: 8\nrank: 9", "rank stands on line 2 of the cell and again on line 3"),
        ("epochs: [3]", "line 2 of the cell: epochs takes a number, not a list"),
        ("rank: {a: 3}", "line 2 of the cell: rank takes a whole number, not a mapping"),
        ("[1]: 3", "line 2 of the cell has no plain name"),
        ("x: \x07", "the cell is no YAML"),
        ("seed: 7", "seed is given twice: --seed says 1, line 2 of the cell says 7. Keep one"),
        ("x: !!python/object/apply:os.system [ls]", "train has no 'x'"),
        ("parts: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ],
)
def test_what_is_wrong_with_a_body(read, body, said):
    with pytest.raises(BadOption) as caught:
        read("train made --seed 1", body)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


# --- {{ name }} -------------------------------------------------------------------------------------------------------


class Frame(list):
    """Stands for a DataFrame: known by the name and the module of its class."""


Frame.__name__, Frame.__module__ = "DataFrame", "pandas"

NAMES = {
    "lr": 3e-4,
    "rank": 3,
    "whole": 4.0,
    "method": "made",
    "both": "query,value",
    "places": ["query", "x"],
    "texts": ("one", "two"),
    "array": np.array([3]),
    "numbers": np.array([3, 4]),
    "number": np.float32(0.5),
    "file": Path("a") / "b.csv",
    "frame": Frame([1]),
    "rows": [{"text": "a"}],
    "nothing": None,
    "yes": True,
    "start": "normal",
    "parts": {"a": 1},
    "_hidden": 1,
    "maker": len,
}


@pytest.fixture
def fill(host):
    return lambda line, body=None: parse(line, body, OPERATIONS, lambda: host, NAMES).given


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("train made --rank {{ rank }}", {"methods": "made", "made.rank": 3}),
        ("train made --rank={{rank}}", {"methods": "made", "made.rank": 3}),
        ("train made --rank {{ rank }};", {"methods": "made", "made.rank": 3}),
        ("train --rank {{ rank }} {{ method }}", {"methods": "made", "made.rank": 3}),
        ("train made --rank {{ whole }}", {"methods": "made", "made.rank": 4}),
        ("train made --rank {{ array }}", {"methods": "made", "made.rank": 3}),
        ("train made --learning-rate {{ lr }}", {"methods": "made", "learning_rate": 3e-4}),
        ("train made --clip {{ number }}", {"methods": "made", "clip": 0.5}),
        ("train made --fast={{ yes }}", {"methods": "made", "made.fast": True}),
        ("train made --no-steady={{ yes }}", {"methods": "made", "made.steady": False}),
        ("train made --start {{ start }}", {"methods": "made", "made.start": "normal"}),
        ("train made --targets {{ both }}", {"methods": "made", "made.targets": ["query", "value"]}),
        ("train made --targets {{ places }}", {"methods": "made", "made.targets": ["query", "x"]}),
        (
            "train made --rules {{ both }} --rules {{ places }}",
            {"methods": "made", "made.rules": ["query,value", "query", "x"]},
        ),
        ("train made --parts {{ parts }}", {"methods": "made", "made.parts": {"a": 1}}),
        ("train made --data {{ frame }}", {"methods": "made", "data": "frame"}),
        ("train made --data {{ file }}", {"methods": "made", "data": str(Path("a") / "b.csv")}),
        ("data {{ rows }} --test {{ frame }}", {"source": "rows", "test": "frame"}),
        ("data rows --limit {{ nothing }}", {"source": "rows", "limit": None}),
        ("predict 2 {{ texts }} three", {ASKED: "2", "texts": ["one", "two", "three"]}),
        # Anywhere else it is text.
        ("predict 2 '{{ lr }}'", {ASKED: "2", "texts": ["{{ lr }}"]}),
        (
            "predict 2 'a {{ lr }} b' x{{lr}} -- {{ lr }}",
            {ASKED: "2", "texts": ["a {{ lr }} b", "x{{lr}}", "{{ lr }}"]},
        ),
        ("predict 2 {lr} $lr", {ASKED: "2", "texts": ["{lr}", "$lr"]}),
    ],
)
def test_a_value_of_the_notebook_on_the_line(fill, line, values):
    assert fill(line) == values


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("rank: {{ rank }}", {"made.rank": 3}),
        ("rank: {{rank}}  # as above", {"made.rank": 3}),
        ("learning_rate: {{ lr }}", {"learning_rate": 3e-4}),
        ("made:\n  rank: {{ rank }}", {"made.rank": 3}),
        ("made: {rank: {{ rank }}, fast: yes}", {"made.rank": 3, "made.fast": True}),
        ("targets: {{ places }}", {"made.targets": ["query", "x"]}),
        ("targets: [{{ both }}, {{ start }}]", {"made.targets": ["query,value", "normal"]}),
        ("targets:\n- value\n- {{ method }}", {"made.targets": ["value", "made"]}),
        ("parts: {a: 1}", {"made.parts": {"a": 1}}),
        ("data: {{ frame }}", {"data": "frame"}),
        ("data: '{{ frame }}'", {"data": "{{ frame }}"}),
        ("max_steps: {{ nothing }}", {"max_steps": None}),
    ],
)
def test_a_value_of_the_notebook_in_the_body(fill, body, values):
    assert fill("train made", body) == {"methods": "made", **values}


def test_the_body_can_take_the_methods_from_the_notebook(fill):
    assert fill("train", "methods: {{ method }}\nrank: 2") == {"methods": "made", "made.rank": 2}


@pytest.mark.parametrize(
    ("line", "body", "said"),
    [
        ("train made --rank {{ rnk }}", None, "--rank: the notebook has no 'rnk'. Did you mean 'rank'?"),
        ("train made", "epochs: 2\nrank: {{ rnk }}", "line 3 of the cell: rank: the notebook has no 'rnk'. Did you"),
        ("train {{ methd }}", None, "methods: the notebook has no 'methd'. Did you mean 'method'?"),
        ("train", "methods: {{ methd }}", "line 2 of the cell: methods: the notebook has no 'methd'"),
        ("train made --rank {{ lr }}", None, "--rank takes a whole number, not {{ lr }}, 0.0003. It means: how large"),
        ("train made --rank {{ method }}", None, "--rank takes a whole number, not 'made'"),
        ("train made --rank {{ yes }}", None, "--rank takes a whole number, not {{ yes }}, True"),
        ("train made --rank {{ numbers }}", None, "--rank takes a whole number, not {{ numbers }}, a list of 2"),
        ("train made", "rank: {{ frame }}", "line 2 of the cell: rank takes a whole number, not {{ frame }}, a"),
        ("train made --fast={{ rank }}", None, "--fast takes yes or no, not {{ rank }}, 3"),
        ("train made --schedule {{ method }}", None, "--schedule cannot be 'made'. There is: "),
        ("train made --data {{ rank }}", None, "--data takes text, not {{ rank }}, 3"),
        ("train made --targets {{ numbers }}", None, "--targets takes text, or several with commas between, not"),
        ("train {{ places }}", None, "methods takes text, not {{ places }}, a list of 2"),
        ("train made --rank {{ a.b }}", None, "--rank: {{ a.b }} is no name. Write a plain name between the braces"),
        ("train made --rank {{ }}", None, "--rank: {{  }} is no name"),
        ("train made --rank {{ rank", None, "{{ is not closed. A value of the notebook is {{ name }}"),
        ("train made", "rank: {{ rank }", "line 2 of the cell is no YAML"),
        ("train made", "rank: {{ a: 1 }}", "line 2 of the cell: rank takes a whole number, not a mapping"),
    ],
)
def test_what_is_wrong_with_a_value_of_the_notebook(host, line, body, said):
    with pytest.raises(BadOption) as caught:
        parse(line, body, OPERATIONS, lambda: host, NAMES)
    assert said in str(caught.value)


def test_only_values_are_proposed(host):
    with pytest.raises(BadOption) as caught:
        parse("train made --rank {{ zzzzzz }}", None, OPERATIONS, lambda: host, NAMES)
    assert "rank" in caught.value.hint
    assert not re.search("maker|_hidden", caught.value.hint)


# --- errors that come later -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "body", "said"),
    [
        (
            "train made",
            "epochs: 2\n\nrank: -3",
            "line 4 of the cell: made: rank: input should be greater than or equal to 1, not -3. It means: how large",
        ),
        ("train made", "made:\n  rank: -3", "line 3 of the cell: made: rank: input should be"),
        ("train made", "epochs: -1", "line 2 of the cell: training: epochs: input should be greater than 0"),
        ("train made", "seed: 1\nparts: {a: x}", "line 3 of the cell: made: parts.a: input should be a valid integer"),
        ("train made", "seed: -1", "line 2 of the cell: recipe: seed: input should be"),
        ("train made+other", "\nrank: 3", "line 3 of the cell: 'rank' is an option of made and other. Write made.rank"),
        ("train made --rank -3", "epochs: 2", "made: rank: input should be"),
        ("train", "seed: 1\nmethods: mad", "line 3 of the cell: no method named 'mad'. Did you mean 'made'?"),
        ("data a.csv", "text: t\nlimit: 0", "line 3 of the cell: data: limit: input should be"),
        ("show drawn", "bins: x", "line 2 of the cell: bins takes a whole number"),
    ],
)
def test_an_option_refused_later_names_its_line(host, tmp_path, line, body, said):
    lab = Lab(tmp_path, host=host)
    lab.train_recipe = lambda recipe: recipe
    with pytest.raises(BadOption) as caught:
        parse(line, body, OPERATIONS, lambda: host).on(lab)
    assert str(caught.value).startswith(said)


def test_an_operation_with_a_word_that_may_be_left_out(read, tmp_path):
    asked = []

    class Stand:
        def stop(self, *words, **named):
            asked.append((words, named))

    read("stop run-7").on(Stand())
    read("stop").on(Stand())
    assert asked == [(("run-7",), {}), ((), {})]
    assert "%peft stop [NAME]" in read("stop --help")._repr_mimebundle_()["text/plain"]
    with pytest.raises(BadOption, match="one word too many"):
        read("stop run-7 run-8")


# --- help -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["-h", "--help", "help"])
def test_help_lists_every_command(read, line, capsys):
    shown = read(line)._repr_mimebundle_()
    assert all(f"{o.name} " in shown["text/plain"] and o.summary in shown["text/plain"] for o in OPERATIONS.values())
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("line", ["train made -h", "-h train made", "train --help made --rank", "help train made"])
def test_help_of_one_says_what_the_parser_takes(read, line):
    text = " ".join(read(line)._repr_mimebundle_()["text/plain"].split())
    assert all(argument.flag in text for argument in options_of(Training))
    assert "--rank 8 how large" in text and "--no-steady" in text
    assert "what to leave out, several by giving it again" in text
    assert "where (query, value, ...), several with commas between" in text
    assert "--learning-rate 0.005 " in text  # what this method suggests
    assert all(f"%peft {example}" in text for example in OPERATIONS["train"].examples)


def test_help_where_the_method_is_unknown(read):
    assert "METHODS" in read("train nothing --help")._repr_mimebundle_()["text/plain"]


def test_examples_of_all_operations_are_understood(host):
    builtin = Host(entry_points=False)
    for operation in OPERATIONS.values():
        for example in operation.examples:
            try:
                assert isinstance(parse(example, None, OPERATIONS, lambda: builtin), Call)
            except UnknownName as error:  # an example may name a method of another package
                pytest.fail(f"%peft {example}: {error}")
