"""The pages are true: generated parts are fresh, examples run, every hook is described, links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

import pluggy_specs
from peft_lab.host import Host
from peft_lab.loading import HOOKS
from peft_lab.testing import tiny_lab, tiny_rows
from pluggy_specs import Array, Artifact, DatasetSource, Drawing, Executor, Method, ModelSource, Task, View, hooks

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("**/*.md"))
FILE = re.compile(r"<!-- file: (?P<name>\S+) -->\n```\w*\n(?P<text>.*?)^```$", re.S | re.M)
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.S | re.M)


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def files_in(name: str) -> dict[str, str]:
    """Code blocks of a page that stand for files, by name."""
    return {found["name"]: found["text"] for found in FILE.finditer(page(name))}


def blocks(text: str, language: str) -> list[str]:
    return [found["text"] for found in FENCE.finditer(text) if found["language"] == language]


@pytest.fixture(scope="module")
def generate():
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module("generate")
    finally:
        sys.path.remove(str(DOCS))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Lay the files of a page down as an installed distribution; return the module."""

    def install(name: str, module: str, distribution: str):
        files = files_in(name)
        place = tmp_path / "site"
        place.mkdir()
        for file, text in files.items():
            if file.endswith(".py"):
                (place / file).write_text(text, encoding="utf-8")
        points = tomllib.loads(files["entry-point"])["project"]["entry-points"]
        lines = [f"[{group}]\n" + "".join(f"{n} = {m}\n" for n, m in of.items()) for group, of in points.items()]
        info = place / f"{distribution.replace('-', '_')}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(place)
        monkeypatch.delitem(sys.modules, module, raising=False)
        return importlib.import_module(module)

    return install


# --- what is generated -----------------------------------------------------------------------------------------------


def test_generated_parts_are_fresh(generate):
    stale = [
        p.name for p in PAGES if generate.rewritten(p.read_text(encoding="utf-8")) != p.read_text(encoding="utf-8")
    ]
    assert not stale, f"{', '.join(stale)}: run python docs/generate.py"


def test_check_names_the_stale_page(generate, tmp_path, monkeypatch, capsys):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\n<!-- generated: training-settings -->\nold\n<!-- end -->\n")
    monkeypatch.setattr(generate, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "docs/a.md is stale" in capsys.readouterr().out
    assert generate.main([]) == 0
    assert "--learning-rate" in (tmp_path / "docs" / "a.md").read_text()
    assert generate.main(["--check"]) == 0


def test_an_unknown_part_is_an_error(generate):
    with pytest.raises(SystemExit, match="no generated part is named 'nothing'"):
        generate.made("nothing")


def test_pages_are_generated_without_torch():
    code = "import sys, generate; [generate.rewritten(p.read_text('utf-8')) for p in generate.DOCS.glob('*.md')]\n"
    code += "print(*{'torch', 'transformers', 'peft'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=DOCS, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not done.stdout.strip()


def test_every_type_of_peft_is_in_the_table():
    from importlib.metadata import version

    found = re.search(r"With peft (\S+):\n(.*?)<!-- end -->", page("methods.md"), re.S)
    assert found, "run python docs/generate.py --peft"
    if found[1] != version("peft"):
        pytest.skip(f"the table is of peft {found[1]}")
    rows = dict(re.findall(r"^\| `(peft:\S+)` \| (\w+)", found[2], re.M))
    assert set(rows) == {name for name in Host(entry_points=False).offers("methods") if name.startswith("peft:")}
    assert set(rows.values()) <= {"trains", "refused"}


# --- hooks -----------------------------------------------------------------------------------------------------------


def described() -> list[str]:
    """Every hook, and every method of what a plugin subclasses."""
    names = [name for name, f in vars(hooks).items() if inspect.isfunction(f) and hasattr(f, "peft_lab_spec")]
    for cls in (Method, View, Task, Executor):
        names += [
            f"{cls.__name__}.{n}" for n, f in vars(cls).items() if inspect.isfunction(f) and not n.startswith("_")
        ]
    return names


@pytest.mark.parametrize("name", described())
def test_every_hook_has_a_heading_with_its_signature(name, generate):
    headings = [line for line in page("hooks.md").splitlines() if line.startswith("#")]
    assert f"### `{generate.signature(name)}`" in headings, f"docs/hooks.md: <!-- generated: heading {name} -->"


def test_the_walk_finds_the_hooks():
    assert set(HOOKS) < set(described())
    assert {"Method.attach", "Method.penalty", "View.draw", "Task.losses", "Executor.train_each"} < set(described())


def test_signatures_are_those_of_the_code(generate):
    assert generate.signature("metrics_logged") == "metrics_logged(run_id: str, point: Mapping[str, Any]) -> None"
    assert generate.signature("Method.masks") == "Method.masks(model: torch.nn.Module) -> Mapping[str, torch.Tensor]"


@pytest.mark.parametrize("record", [ModelSource, DatasetSource, Artifact, Array, Drawing])
def test_every_field_of_a_record_is_described(record):
    missing = [f.name for f in fields(record) if f"`{f.name}`" not in page("hooks.md")]
    assert not missing


@pytest.mark.parametrize("cls", [Method, View, Task, Executor])
def test_every_attribute_of_a_class_is_described(cls):
    missing = [n for n in inspect.get_annotations(cls) if f"`{n}`" not in page("hooks.md")]
    assert not missing


def test_the_examples_of_hooks_work(tmp_path, monkeypatch):
    """All examples of the page, one after another, are one plugin module."""
    text = "".join(blocks(page("hooks.md"), "python"))
    (tmp_path / "examples_of_hooks.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    host = Host(builtins=("examples_of_hooks",), entry_points=False)
    kinds = ("methods", "views", "tasks", "models", "datasets", "executors")
    offered = {kind: list(host.offers(kind)) for kind in kinds}
    assert not host.problems
    assert all(offered.values())
    assert set(host.plugins()[0].hooks) == set(HOOKS)

    example = sys.modules["examples_of_hooks"]
    lab = tiny_lab(tmp_path, *(host.find("methods", name) for name in offered["methods"]))
    for name in ("views", "tasks", "executors"):
        for item in host.offers(name).values():
            lab.add(item.item)
    run = lab.train("largest-gradients+focal-tokens+small-head+described", epochs=1, batch_size=8)
    assert all(mark["ok"] for mark in run.record["proof"])
    assert run.artifact("weight-norms").arrays["norm"].values.size > 10
    assert run.id in lab.show("final-scores").alt
    (other,) = lab.train_each([lab.recipe("top-layers+company-words", count=1, epochs=1, batch_size=8)], on="backwards")
    assert other.status == "finished"

    rows = [{"text": row["text"], "label": 1 + number % 5} for number, row in enumerate(tiny_rows(96))]
    lab.add(DatasetSource("many-stars", "for tests", lambda: {"train": rows}, task="stars"))
    stars = lab.train("full", data="many-stars", epochs=1, batch_size=8)
    assert set(stars.metrics["validation"]) == {"within_one", "exact", "mean_error", "loss"}
    assert "stars" in str(lab.predict(stars.id, "the red ship"))

    example.run_started(run.record)
    for point in run.points:
        example.metrics_logged(run.id, point)
    example.run_finished(run.record)
    assert len(example.heard) == 3


# --- a method and a view of others -----------------------------------------------------------------------------------


def test_the_method_is_short():
    files = files_in("write-a-method.md")
    lines = files["peft_lab_random_mask.py"].splitlines() + files["entry-point"].splitlines()
    assert len(lines) <= 40


def test_the_view_is_short():
    files = files_in("write-a-view.md")
    lines = files["peft_lab_depth.py"].splitlines() + files["entry-point"].splitlines()
    assert len(lines) <= 25


def test_the_method_keeps_the_contract(installed, tmp_path):
    """Installed as a package of its own, found by its entry point, held to the contract by the page's own test."""
    module = installed("write-a-method.md", "peft_lab_random_mask", "peft-lab-random-mask")
    offer = Host().offers("methods")["random-mask"]
    assert (offer.item, offer.plugin) == (module.RandomMask, "peft-lab-random-mask")
    importlib.import_module("test_random_mask").test_contract(tmp_path)


def test_the_method_imports_no_torch(tmp_path):
    (tmp_path / "plugin.py").write_text(files_in("write-a-method.md")["peft_lab_random_mask.py"])
    code = "import sys, plugin; list(plugin.register_methods()); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.strip() == "False", done.stderr


def test_the_method_from_a_cell(tmp_path):
    lab = tiny_lab(tmp_path)
    for _ in range(2):  # a cell can be run again
        exec(compile(files_in("write-a-method.md")["cell"], "cell", "exec"), {"lab": lab, "__name__": "__main__"})
    run = lab.train("random-mask", density=0.05, epochs=1, batch_size=8)
    assert all(mark["ok"] for mark in run.record["proof"])
    assert run.recipe.methods[0].options == {"density": 0.05}


def test_the_line_that_refuses():
    (line,) = (b for b in blocks(page("write-a-method.md"), "python") if b.startswith("if not self.chosen"))
    nothing = type("Nothing", (), {"chosen": {}})()
    with pytest.raises(pluggy_specs.MethodRefused, match="needs linear layers"):
        exec(line, {"self": nothing, "pluggy_specs": pluggy_specs})


def test_the_view_draws_real_runs(installed, tmp_path):
    module = installed("write-a-view.md", "peft_lab_depth", "peft-lab-depth")
    assert Host().offers("views")["depth"].item is module.Depth
    lab = tiny_lab(tmp_path)
    lab.add(module.Depth)
    for method in ("full", "bitfit"):
        run = lab.train(method, epochs=1, batch_size=8)
        picture = lab.show("depth", run.id)
        assert picture.png.startswith(b"\x89PNG") and len(picture.png) < 200_000
        assert re.fullmatch(rf"{run.id} changed most in layer \w+: [\d.e+-]+ \(root mean square\)\.", picture.alt)


# --- results ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_lab(tmp_path_factory.mktemp("results")).train("bitfit", epochs=2, batch_size=8)


def test_a_run_is_read_as_the_page_says(run, tmp_path):
    text = files_in("results-format.md")["read.py"]
    named = {n.name.split(".")[0] for i in ast.walk(ast.parse(text)) if isinstance(i, ast.Import) for n in i.names}
    named |= {str(i.module).split(".")[0] for i in ast.walk(ast.parse(text)) if isinstance(i, ast.ImportFrom)}
    assert named == {"json", "pathlib", "safetensors"}
    shutil.copytree(run.path, tmp_path / "peft_runs" / "run-1")
    text += "\nimport sys\nassert 'torch' not in sys.modules and 'peft_lab' not in sys.modules\n"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"run-1 finished bitfit on {run.recipe.data.source}" in done.stdout
    assert f"{run.cost['trainable']} entries kept" in done.stdout
    assert "relative ['layer', 'kind']" in done.stdout


def test_every_field_of_the_record_is_described(run):
    section = page("results-format.md").partition("## run.json")[2].partition("\n## ")[0]
    rows = [row.split(" | ")[0] for row in section.splitlines() if row.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == set(run.record)
    missing = [
        name
        for name in (*run.cost, *run.record["recipe"]["data"], *run.record["hardware"])
        if f"`{name}`" not in section
    ]
    assert not missing


def test_every_field_of_a_point_is_described(run):
    section = page("results-format.md").partition("## metrics.jsonl")[2].partition("\n## ")[0]
    metrics = set(run.metrics["validation"])
    assert not [name for point in run.points for name in point if f"`{name}`" not in section and name not in metrics]


def test_files_of_a_run_are_described(run):
    written = {p.name for p in run.path.rglob("*") if p.is_file()}
    assert not [name for name in written if name not in page("results-format.md")]
    for kind in run.artifacts:
        assert set(run.artifact(kind).arrays) <= set(re.findall(r"`(\w+)`", page("results-format.md")))


# --- all pages -------------------------------------------------------------------------------------------------------


def test_every_command_in_the_pages_is_understood(installed, tmp_path):
    """Every %peft line is read by the parser of the magic."""
    from peft_lab.lab import Lab
    from peft_lab.notebook.parsing import Call, parse
    from peft_lab.operations import operations_of

    host = Host(entry_points=False)
    for name in ("write-a-method.md", "write-a-view.md"):
        for file, text in files_in(name).items():
            if file.startswith("peft_lab_"):
                space: dict[str, object] = {"__name__": file}
                exec(text, space)
                host.add(next(space[n] for n in ("RandomMask", "Depth") if n in space))
    lines = [
        (path.name, line.strip(), body)
        for path in PAGES
        for text in blocks(path.read_text(encoding="utf-8"), "text")
        for line, body in commands(text)
    ]
    assert len(lines) > 30
    for name, line, body in lines:
        try:
            asked = parse(line, body, operations_of(Lab), lambda: host)
        except pluggy_specs.PeftLabError as error:
            pytest.fail(f"docs/{name}: %peft {line}: {error}")
        assert isinstance(asked, Call) or "--help" in line


def commands(text: str):
    """Line and body of each magic of a block."""
    if text.startswith("%%peft"):
        first, _, body = text.partition("\n")
        yield first.removeprefix("%%peft"), body
        return
    for line in text.splitlines():
        if found := re.match(r"(?:\w+ = )?%peft\b(.*)", line):
            yield found[1], None


def test_python_blocks_compile():
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        if path.name != "hooks.md":  # there, blocks continue each other; all of them run in a test above
            for block in blocks(text, "python"):
                ast.parse(block, path.name)


def anchors(path: Path) -> set[str]:
    """Where a link into a page may lead, as GitHub names headings."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md"], ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    text = re.sub(r"`[^`\n]*`", "", text)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (path.parent / file) if file else path
        assert place.exists(), f"{path.name} links to {target}"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), f"{path.name} links to {target}"


def test_every_page_has_a_title_and_says_what_it_is():
    assert {"index", "hooks", "magics", "methods", "architecture", "decisions", "contributing"} <= {
        p.stem for p in PAGES
    }
    for path in PAGES:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("# ") and not lines[1] and lines[2][:1].isalpha(), path.name


# --- what never goes into a commit -----------------------------------------------------------------------------------


def tracked() -> list[Path]:
    """What is committed or would be, as text."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT) if (ROOT / ".git").exists() else None
    if done is None or done.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    return [f for f in files if f.is_file() and b"\0" not in f.read_bytes()[:4096]]


def test_nothing_of_this_machine_is_committed():
    roots = "|".join(("home", "root", "Users", "work", "mnt"))
    path = re.compile(rf"(?<![\w./~<>-])/({roots})/[\w.-]")
    registry = re.compile(r"(extra-)?index[-_]url\s*[=:]|https?://[^\s\"')]*/(simple|pypi)/|" + ":31" + "41", re.I)
    here = {str(ROOT), str(Path.home())} - {"/"}
    hosts = {h for v in os.environ if re.fullmatch(r"(PIP|UV)_\w*INDEX\w*", v) if (h := host_of(os.environ[v]))}
    wrong = []
    for file in tracked():
        text = file.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if (
                any(h in line for h in here | hosts)
                or path.search(line)
                or (registry.search(line) and file != Path(__file__))
            ):
                wrong.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not wrong, "\n".join(wrong)


def host_of(address: str) -> str:
    from urllib.parse import urlsplit

    host = urlsplit(address).hostname or ""
    return "" if host in ("pypi.org", "localhost") else host


def test_no_lock_file_is_committed():
    names = {"uv.lock", "poetry.lock", "requirements.txt", "Pipfile.lock"}
    assert not [f for f in tracked() if f.name in names]


def test_two_precisions_in_one_process(tmp_path):
    """Accelerate's state is begun anew, as the decisions say, by a private function that may go away."""
    lab = tiny_lab(tmp_path)
    runs = [lab.train("head", max_steps=2, device="cpu", precision=wanted) for wanted in ("fp32", "bf16", "fp32")]
    assert [run.record["hardware"]["precision"] for run in runs] == ["fp32", "bf16", "fp32"]
    losses = [[p["loss"] for p in run.points] for run in runs]
    assert losses[0] == losses[2] != losses[1]


def test_the_index_shows_every_page():
    listed = set(re.findall(r"\]\((\S+\.md)\)", page("index.md")))
    assert listed >= {p.name for p in DOCS.glob("*.md")} - {"index.md"}


def test_the_record_of_a_run_is_json(run):
    json.dumps(run.record, allow_nan=False)


@pytest.mark.parametrize(
    "words",
    ["is not a hook", "is not marked", "changes nothing", "already offered by", "tensors outside the head learns"],
)
def test_messages_that_the_pages_explain_exist(words):
    assert words in page("write-a-method.md")
    code = "".join(f.read_text(encoding="utf-8") for f in (ROOT / "peft_lab").rglob("*.py"))
    assert words in code
