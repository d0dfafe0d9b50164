"""Every tuner of Hugging Face PEFT that trains BERT: what its saved folder opens with, and whether it can be merged.

The table in ``docs/keeping.md`` is held to what is found here.
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from peft_lab.errors import MethodRefused
from peft_lab.host import Host
from peft_lab.keeping.manifest import read_manifest
from peft_lab.keeping.merging import merged
from peft_lab.keeping.peft_layout import CONFIG, REST, TENSORS
from peft_lab.run import WEIGHTS
from peft_lab.testing import tiny_lab
from peft_lab.training.restore import restore
from peft_lab.training.sample_texts import sample_rows

PAGE = Path(__file__).parents[1] / "docs" / "keeping.md"
SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
TYPES = [n for n in Host(entry_points=False).offers("methods") if n == "lora" or n.startswith("peft:")]
NEEDED = {"peft:trainable_tokens": {"token_indices": [5, 6, 7]}}
WITH_TASK_IDS = ("peft:poly", "peft:multitask_prompt_tuning")


@dataclass
class Kept:
    """What became of one type."""

    folder: Path
    why_not_peft: str
    why_not_merged: str


@pytest.fixture(scope="module")
def kept(tmp_path_factory, trained_before):
    """Each type that trains BERT, trained for a few steps and saved; the logits of the run beside each folder."""
    place = tmp_path_factory.mktemp("types")
    lab = tiny_lab(place, **SIZES)
    lab.recipe("head", model=str(place / "tiny-bert"), data="tiny")
    found = {}
    for name in TYPES:
        try:
            run = lab.train(name, max_steps=2, batch_size=8, device="cpu", precision="fp32", **NEEDED.get(name, {}))
        except MethodRefused:
            continue  # that it is no more than should be, the table of the docs says
        folder = place / name.replace(":", "-")
        lab.save(run.id, folder)
        manifest = read_manifest(folder)
        np.save(f"{folder}.npy", np.float32(manifest.sample.outputs))
        plain = restore(run, lab.host)
        try:
            model = merged(plain, run)
            merged_outputs = replace(plain, built=replace(plain.built, model=model)).outputs(sample_rows(False))
            why = "" if abs(merged_outputs - manifest.sample.outputs).max() < 1e-4 else "its logits differ"
        except MethodRefused as error:
            why = error.message
        found[name] = Kept(folder, manifest.why_not_peft, why)
    return found


PEFT_ALONE = r"""
import json, re, sys
sys.modules["peft_lab"] = sys.modules["pluggy_specs"] = None
import logging, warnings
warnings.simplefilter("ignore")
import numpy as np, torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer
base, texts = sys.argv[1], json.loads(sys.argv[2])
tokenizer = AutoTokenizer.from_pretrained(base)
wrong = []
for folder in sys.argv[3:]:
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=3)
    model = PeftModel.from_pretrained(model, folder).eval()
    length = int(re.search(r"max_length=(\d+)", open(folder + "/README.md").read())[1])
    batch = tokenizer(texts, padding=True, truncation=True, max_length=length, return_tensors="pt")
    shared = folder.endswith(("poly", "multitask_prompt_tuning"))
    more = {"task_ids": torch.zeros(len(texts), dtype=torch.long)} if shared else {}
    with torch.no_grad():
        apart = float(abs(model(**batch, **more).logits.numpy() - np.load(folder + ".npy")).max())
    if not apart <= 1e-5:
        wrong.append([folder, apart])
print(json.dumps(wrong))
"""


def test_peft_alone_opens_them_with_the_same_logits(kept):
    """In a process that knows nothing of peft_lab."""
    folders = [str(k.folder) for k in kept.values() if (k.folder / CONFIG).exists()]
    base = next(iter(kept.values())).folder.parent / "tiny-bert"
    texts = json.dumps([row["text"] for row in sample_rows(False)])
    done = subprocess.run(
        [sys.executable, "-c", PEFT_ALONE, str(base), texts, *folders], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert len(folders) >= 38


OURS = """
import json, sys
import numpy as np
from peft_lab import Lab
from peft_lab.training.sample_texts import sample_rows
lab = Lab(sys.argv[1])
wrong = []
for folder in sys.argv[2:]:
    lab.load(folder)
    if not np.array_equal(lab.served.restored.outputs(sample_rows(False)), np.load(folder + ".npy")):
        wrong.append(folder)
print(json.dumps(wrong))
"""


def test_we_open_them_bit_for_bit(kept, tmp_path):
    """In a fresh process, from the same tensors."""
    folders = [str(k.folder) for k in kept.values()]
    done = subprocess.run([sys.executable, "-c", OURS, str(tmp_path), *folders], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_no_tensor_is_there_twice(kept):
    from safetensors.numpy import load_file

    for name, one in kept.items():
        files = {f.name for f in one.folder.iterdir()}
        if one.why_not_peft:
            assert files == {"peft_lab.json", "README.md", WEIGHTS}, name
            assert one.why_not_peft in (one.folder / "README.md").read_text()
            continue
        assert files - {REST} == {"peft_lab.json", "README.md", CONFIG, TENSORS}, name
        if REST in files:
            shared = load_file(one.folder / TENSORS)
            for key, value in load_file(one.folder / REST).items():
                same = [k for k, v in shared.items() if v.shape == value.shape and np.array_equal(v, value)]
                assert not same or value.size < 3 or not value.any(), f"{name}: {key} is {same[0]}"


def test_the_table_of_the_docs_says_what_is_found(kept):
    rows = re.findall(r"^\| `([\w:]+)` \| (.+?) \| (.+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    said = {name: (opened, merges) for name, opened, merges in rows}
    assert set(said) == set(kept)
    for name, one in kept.items():
        opened, merges = said[name]
        found = f"no: {one.why_not_peft}" if one.why_not_peft else "with `task_ids`" if name in WITH_TASK_IDS else "yes"
        assert opened == found, name
        assert merges == (f"no: {reason(one)}" if one.why_not_merged else "yes"), name


def reason(one):
    """Why it cannot be merged, without its name."""
    return one.why_not_merged.partition("cannot be merged: ")[2]
