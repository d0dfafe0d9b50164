"""A run in one file: whoever gets it goes on as the run itself would, and a file that is not sound leaves nothing."""

import io
import json
import re
import shutil
import threading
import zipfile
from pathlib import Path

import pytest
import torch

from peft_lab.errors import RunProblem
from peft_lab.keeping import snapshots
from peft_lab.run import LAST, WEIGHTS, Run
from peft_lab.testing import tiny_lab, tiny_rows
from peft_lab.training import session
from peft_lab.training.checkpoint import CHECKPOINT, Pace, read_position
from peft_lab.training.progress import Progress
from peft_lab.training.weights import read_header, read_tensors
from pluggy_specs import DatasetSource

SETTINGS = {"epochs": 3, "batch_size": 8, "device": "cpu", "precision": "fp32"}


class Until(Progress):
    """Asks for a stop when so many steps are done; calls something at a step before."""

    def __init__(self, steps, at=None, then=lambda: None):
        super().__init__()
        self.after, self.at, self.then = steps, at, then

    def stopping(self):
        if self.state.get("step", 0) == self.at:
            self.at = None
            self.then()
        return self.state.get("step", 0) >= self.after


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = tiny_lab(tmp_path)
    rows = {"train": tiny_rows(96), "validation": tiny_rows(40, seed=2), "test": tiny_rows(48, seed=1)}
    made.host.add(DatasetSource("tiny", "one word decides the label", lambda: rows))
    return made


@pytest.fixture
def elsewhere(lab, tmp_path):
    """Another folder of runs, as on another machine."""
    from peft_lab.lab import Lab

    return Lab(tmp_path / "elsewhere", host=lab.host)


def numbers(run):
    return [{k: v for k, v in point.items() if k != "seconds"} for point in run.points]


def must_be_equal(run, whole):
    assert numbers(run) == numbers(whole)
    assert run.metrics == whole.metrics and run.record["best"] == whole.record["best"]
    for name in (WEIGHTS, LAST):
        assert (run.path / name).exists() == (whole.path / name).exists()
        if (whole.path / name).exists():
            first, second = read_tensors(run.path / name), read_tensors(whole.path / name)
            assert first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)
    assert run.record["proof"] == whole.record["proof"]


def stopped(lab, method="lora", step=17):
    return session.train(lab.recipe(method, **SETTINGS), lab.host, lab.folder, Until(step))


# --- there and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lora", "sparse"])
def test_a_latecomer_goes_on_bit_for_bit(lab, elsewhere, method):
    run = stopped(lab, method)
    said = str(lab.snapshot(run.id, "step-17.zip"))
    assert "17 of 36" in said and "%peft restore step-17.zip" in said and "exactly as the run itself would" in said
    lab.resume(run.id)
    here = elsewhere.restore("step-17.zip")
    assert here.id == "run-1" and here.path.parent == elsewhere.folder and here.status == "stopped"
    card = here._repr_mimebundle_()["text/plain"]
    assert f"Restored from step-17.zip: {run.id} as it was at step 17" in card and "stopped at step 17 of 36" in card
    assert elsewhere.last.id == here.id
    assert [row[0] for row in elsewhere.predict(here.id, "the red ship").rows][:1]
    must_be_equal(elsewhere.resume(here.id), run)


def test_a_finished_run_answers_the_same_and_is_trained_on_the_same(lab, elsewhere):
    run = lab.train("bitfit", **SETTINGS)
    said = str(lab.snapshot(run.id))
    assert Path("run-1-step-36.zip").is_file() and "--from it" in said
    here = elsewhere.restore("run-1-step-36.zip")
    assert here.status == "finished" and here.metrics == run.metrics and here.artifacts == run.artifacts
    assert (here.path / WEIGHTS).read_bytes() == (run.path / WEIGHTS).read_bytes()
    assert elsewhere.predict(here.id, "blue wind").rows == lab.predict(run.id, "blue wind").rows
    there = lab.train("bitfit", from_=run.id, **SETTINGS)
    again = elsewhere.train("bitfit", model="tiny", data="tiny", from_=here.id, **SETTINGS)
    assert numbers(again) == numbers(there) and again.metrics == there.metrics
    assert elsewhere.restore("run-1-step-36.zip").id not in (here.id, again.id)


@pytest.mark.parametrize(("checkpoint", "seen"), [(12, 14), (14, 20), (14, 30)])
def test_a_snapshot_of_a_run_that_goes_on_is_of_one_moment(lab, elsewhere, monkeypatch, checkpoint, seen):
    """Taken at step ``seen``, when metric points, record and best state are newer than the checkpoint."""
    at = []
    monkeypatch.setattr(Pace, "due", lambda self: len(at) == 0 and at_step() == checkpoint and not at.append(1))
    recipe = lab.recipe("full", learning_rate=1e-2, schedule="constant", **SETTINGS)
    told = []

    def take():
        told.append(lab.snapshot("run-1", "now.zip"))
        told.append(int(read_header(lab.folder / "run-1" / WEIGHTS)["step"]))

    progress = Until(99, at=seen, then=take)
    at_step = lambda: progress.state.get("step", 0)  # noqa: E731
    run = session.train(recipe, lab.host, lab.folder, progress)
    assert run.status == "finished" and f"{checkpoint} of 36" in str(told[0])
    assert (told[1] > checkpoint) == (seen == 30), "else this tests something else"
    here = elsewhere.restore("now.zip")
    assert here.record["steps"]["done"] == read_position(here.path / CHECKPOINT).steps == checkpoint
    assert max(point["step"] for point in here.points) == checkpoint
    best = here.record.get("best", {}).get("step")
    assert read_header(here.path / WEIGHTS)["step"] == str(best or checkpoint)
    assert (here.metrics.get("validation") is not None) == (best is not None)
    assert elsewhere.predict(here.id, "green rope").rows
    must_be_equal(elsewhere.resume(here.id), run)


def test_a_run_that_began_a_moment_ago_has_nothing_to_take(lab):
    told = []

    def take():
        with pytest.raises(RunProblem) as error:
            lab.snapshot("run-1", "early.zip")
        told.append(str(error.value))

    session.train(lab.recipe("lora", **SETTINGS), lab.host, lab.folder, Until(5, at=2, then=take))
    assert "run-1 is running and has no checkpoint yet" in told[0] and "%peft stop run-1" in told[0]
    assert not Path("early.zip").exists()


def test_nothing_of_the_machine_is_in_it(lab):
    lab.snapshot(stopped(lab).id, "out.zip")
    with zipfile.ZipFile("out.zip") as archive:
        manifest = json.loads(archive.read("snapshot.json"))
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        assert not [n for n in archive.namelist() if Path(n).suffix not in (".json", ".jsonl", ".safetensors")]
    assert not {"pid", "process_started", "process_after_boot"} & manifest["run"].keys()
    assert str(lab.folder) not in json.dumps(manifest)


def test_a_snapshot_is_not_written_over_by_accident(lab):
    run = stopped(lab)
    lab.snapshot(run.id, "one.zip")
    with pytest.raises(RunProblem, match=r"one.zip is there already. Say --replace"):
        lab.snapshot(run.id, "one.zip")
    before = Path("one.zip").stat().st_mtime_ns
    lab.snapshot(run.id, "one.zip", replace=True)
    assert Path("one.zip").stat().st_mtime_ns != before
    Path("letters.zip").write_bytes(b"dear")
    with pytest.raises(RunProblem, match="no snapshot and would be lost"):
        lab.snapshot(run.id, "letters.zip", replace=True)
    assert Path("letters.zip").read_bytes() == b"dear"
    with pytest.raises(RunProblem, match="is a folder"):
        lab.snapshot(run.id, str(lab.folder))
    assert not list(Path().glob(".*tmp"))


# --- files that are not sound -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A snapshot, as bytes by name."""
    folder = tmp_path_factory.mktemp("sound")
    lab = tiny_lab(folder)
    snapshots.take(stopped(lab), folder / "sound.zip")
    with zipfile.ZipFile(folder / "sound.zip") as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def packed(files, how=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(zipfile.ZipInfo(name), content, how)
    return out.getvalue()


def changed(sound, **facts):
    manifest = json.loads(sound["snapshot.json"])
    for name, value in facts.items():
        manifest[name] = value(manifest[name]) if callable(value) else value
    return {**sound, "snapshot.json": json.dumps(manifest).encode()}


def claiming(sound, name, content):
    """A file put in with its right hash, by somebody who knows the format."""
    import hashlib

    held = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return changed({**sound, name: content}, files=lambda files: {**files, name: held})


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


UNSOUND = {
    "not a zip": (lambda s: b"PK nothing", "damaged or no snapshot"),
    "cut off": (lambda s: packed(s)[:-2000], "damaged or no snapshot"),
    "a bit is another": (lambda s: flipped(packed(s)), "damaged|not what was put in"),
    "another zip": (lambda s: packed({"a.txt": b"x"}), "is no snapshot: it has no snapshot.json"),
    "out of the folder": (lambda s: packed(claiming(s, "../../evil.json", b"{}")), "'../../evil.json', which no"),
    "out by a drive": (lambda s: packed(claiming(s, "C:\\evil.json", b"{}")), "which no snapshot has"),
    "from the root": (lambda s: packed(claiming(s, "/tmp/evil.json", b"{}")), "which no snapshot has"),
    "out by an artifact": (lambda s: packed(claiming(s, "artifacts/../../e.json", b"{}")), "which no snapshot has"),
    "a pickle": (lambda s: packed(claiming(s, "weights.pt", b"\x80\x04")), "'weights.pt', which no snapshot has"),
    "its own record": (lambda s: packed(claiming(s, "run.json", b"{}")), "which no snapshot has"),
    "a bomb": (lambda s: packed(claiming(s, "artifacts/a.json", bytes(9**7)), zipfile.ZIP_DEFLATED), "is compressed"),
    "a name twice": (lambda s: packed([*s.items(), ("metrics.jsonl", b"")]), "holds metrics.jsonl twice"),
    "a file too many": (lambda s: packed({**s, "artifacts/more.json": b"{}"}), "holds the unexpected artifacts/more"),
    "a file too few": (lambda s: packed({n: c for n, c in s.items() if n != "metrics.jsonl"}), "lacks metrics.jsonl"),
    "another file": (lambda s: packed({**s, "metrics.jsonl": flipped(s["metrics.jsonl"])}), "not what was put in"),
    "longer": (lambda s: packed({**s, "metrics.jsonl": s["metrics.jsonl"] + b"\n"}), "not what was put in"),
    "no weights": (
        lambda s: packed(
            {
                n: c
                for n, c in changed(s, files=lambda f: {k: v for k, v in f.items() if k != WEIGHTS}).items()
                if n != WEIGHTS
            }
        ),
        "holds no weights.safetensors",
    ),
    "no tensors": (lambda s: packed(claiming(s, WEIGHTS, b"\x80\x04pickle")), "cannot be used: .*is damaged"),
    "no position": (lambda s: packed(claiming(s, CHECKPOINT, s[WEIGHTS])), "cannot be used: .*no checkpoint"),
    "newer": (lambda s: packed(changed(s, format=9)), "taken by a newer peft_lab"),
    "no JSON": (lambda s: packed({**s, "snapshot.json": b"{"}), "snapshot.json in .* is damaged"),
    "no record": (lambda s: packed({**s, "snapshot.json": b"[]"}), "holds no record"),
    "a step below zero": (lambda s: packed(changed(s, step=-1)), "snapshot.json in .* is damaged"),
    "no recipe": (lambda s: packed(changed(s, run={"status": "stopped"})), "the record in .* is damaged: recipe"),
    "it still runs": (lambda s: packed(changed(s, run=lambda r: {**r, "status": "running"})), "it says running"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("fault", UNSOUND)
def test_a_file_that_is_not_sound_leaves_nothing(sound, tmp_path, fault):
    make, said = UNSOUND[fault]
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    file = inside / "from somebody.zip"
    file.write_bytes(make(sound))
    lab = tiny_lab(inside)
    with pytest.raises(RunProblem, match=said) as error:
        lab.restore(str(file))
    assert "\n" not in str(error.value) and str(tmp_path) not in str(error.value)
    assert not list(lab.folder.rglob("*")) and not list(tmp_path.rglob("*evil*"))


def test_what_is_sound_in_that_list_is_taken(sound, tmp_path):
    (tmp_path / "sound.zip").write_bytes(packed(sound))
    assert tiny_lab(tmp_path).restore(str(tmp_path / "sound.zip")).status == "stopped"


def test_a_file_that_is_larger_than_the_disk_is_not_begun(sound, tmp_path, monkeypatch):
    (tmp_path / "sound.zip").write_bytes(packed(sound))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 9, 1))
    lab = tiny_lab(tmp_path)
    with pytest.raises(RunProblem, match=r"needs .*, and 1 byte|needs .*B of disk are free"):
        lab.restore(str(tmp_path / "sound.zip"))
    assert not list(lab.folder.rglob("*"))


def test_a_record_cannot_write_into_the_page(sound, tmp_path):
    hostile = changed(sound, run=lambda r: {**r, "id": "<img src=x onerror=alert(1)>", "notes": ["<script>1</script>"]})
    (tmp_path / "h.zip").write_bytes(packed(hostile))
    page = tiny_lab(tmp_path).restore(str(tmp_path / "h.zip"))._repr_mimebundle_()["text/html"]
    assert "&lt;img" in page and "&lt;script" in page and "<img src=x" not in page and "<script" not in page


def test_what_is_no_snapshot_is_told_apart(lab):
    with pytest.raises(RunProblem, match="there is no file gone.zip"):
        lab.restore("gone.zip")
    with pytest.raises(RunProblem, match=r"is a folder, not a snapshot. A saved adapter: %peft load"):
        lab.restore(str(lab.folder.parent))


def test_two_that_restore_at_once_get_two_runs(sound, tmp_path):
    (tmp_path / "sound.zip").write_bytes(packed(sound))
    lab = tiny_lab(tmp_path)
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(lab.restore(str(tmp_path / "sound.zip")).id)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == ["run-1", "run-2", "run-3", "run-4"]
    assert all(Run(lab.folder / name).points for name in made) and not re.search(
        "loading", str(list(lab.folder.iterdir()))
    )


def test_a_run_that_began_from_another_needs_it_only_to_go_on(lab, elsewhere):
    first = lab.train("lora", **SETTINGS)
    recipe = lab.recipe("lora", **SETTINGS)
    from peft_lab.training.start import start_from

    recipe = recipe.model_copy(update={"start": start_from(first)})
    run = session.train(recipe, lab.host, lab.folder, Until(17))
    lab.snapshot(run.id, "second.zip")
    shutil.rmtree(first.path)
    here = elsewhere.restore("second.zip")
    assert elsewhere.predict(here.id, "red").rows
    with pytest.raises(RunProblem, match=f"{first.id}, which this run begins from, is gone") as error:
        elsewhere.resume(here.id)
    assert "\n" not in str(error.value) and str(first.path.parent) not in str(error.value)
    assert Run(here.path).status == "stopped"


def test_a_crashed_run_is_taken_as_its_checkpoint_has_it(lab, elsewhere):
    whole = lab.train_recipe(lab.recipe("lora", **SETTINGS))
    run = stopped(lab)
    file = run.path / "run.json"
    file.write_text(json.dumps({**run.record, "status": "running", "pid": 0, "ended": None}), encoding="utf-8")
    (run.path / WEIGHTS).unlink()
    assert Run(run.path).status == "crashed"
    lab.snapshot(run.id, "crashed.zip")
    here = elsewhere.restore("crashed.zip")
    assert (here.status, here.record["steps"]["done"]) == ("stopped", 17)
    assert elsewhere.predict(here.id, "red").rows
    must_be_equal(elsewhere.resume(here.id), whole)
