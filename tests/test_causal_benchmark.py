"""The benchmark of causal models, in small: peft_lab and Trainer + PEFT do the same work, step by step."""

import json

import pytest

from benchmarks import causal, causal_run
from peft_lab.testing import tiny_causal_lab


@pytest.fixture
def tiny(tmp_path, monkeypatch, one_thread):
    monkeypatch.setattr(causal_run, "Lab", lambda folder: tiny_causal_lab(tmp_path))
    return ["--here", "--model", "tiny", "--data", "tiny", "--out", str(tmp_path / "kept.json")]


def test_the_same_work_by_all_ways(tiny, tmp_path, capsys):
    causal.main([*tiny, "--rounds", "2", "--steps", "8"])
    kept = json.loads((tmp_path / "kept.json").read_text())
    results = kept["results"]
    by = {(row["way"], row["seed"]): row for row in results["rows"]}
    assert set(by) == {(way, seed) for way in causal.WAYS for seed in (0, 1)}
    assert len({row["trainable"] for row in by.values()}) == 1
    for seed in (0, 1):
        ours, theirs = by["peft_lab-fp32", seed], by["trainer", seed]
        assert ours["losses"] == pytest.approx(theirs["losses"], abs=2e-4), "same rows, adapters, rates: same losses"
        assert ours["tokens"] == theirs["tokens"] == by["trainer-bf16", seed]["tokens"]
        assert ours["losses"] != by["trainer-random", seed]["losses"]
        assert ours["losses"][0] != ours["losses"][-1]
    assert by["peft_lab-fp32", 0]["tokens"] != by["peft_lab-fp32", 1]["tokens"], "each round has an order of its own"
    for row in by.values():
        assert len(row["losses"]) == len(row["step_seconds"]) == row["steps"] == 8
        assert sum(row["step_seconds"]) == pytest.approx(row["train_seconds"], abs=0.01)
        assert row["cpu_seconds"] > 0
        assert row["tokens"]["supervised"] < row["tokens"]["all"] <= row["tokens"]["computed"]
    apart = results["losses"]
    assert max(apart["ways_apart"]["peft_lab-fp32 and trainer"]) < 2e-4 < apart["seeds_apart"]["peft_lab-fp32"][0]
    assert "| trainer-random | fp32 |" in capsys.readouterr().out


def test_one_order_for_all_rounds(tiny, tmp_path):
    causal.main([*tiny, "--rounds", "2", "--steps", "2", "--order", "0", "--ways", "peft_lab-fp32"])
    first, second = json.loads((tmp_path / "kept.json").read_text())["results"]["rows"]
    assert first["tokens"] == second["tokens"]


def test_other_work_is_not_compared(tmp_path):
    file = tmp_path / "work.json"
    causal_run.agree(file, {"batches": [[1, 2]]})
    causal_run.agree(file, {"batches": [[1, 2]]})
    with pytest.raises(SystemExit, match="other batches"):
        causal_run.agree(file, {"batches": [[2, 1]]})


def test_what_finding_roles_costs(tiny, tmp_path, capsys):
    asked = [*tiny, "--shad", "--rounds", "1", "--steps", "3", "--options", "shad_steps=2"]
    causal.main(asked)
    causal.main(asked)  # found anew, although found before
    (row,) = json.loads((tmp_path / "kept.json").read_text())["results"]["rows"]
    first, later = row["sft_measured"]["first"], row["sft_measured"]["later"]
    assert row["sft"]["steps"] == 27 and later["steps"] == 2 and row["epochs"] == 3
    pace = later["seconds"] / later["computed"]
    assert row["sft_seconds"] == pytest.approx(first["seconds"] + pace * (row["sft"]["computed"] - first["computed"]))
    assert row["share"] == pytest.approx(row["shad_seconds"] / row["sft_seconds"]) and row["shad"]["steps"] == 2
    assert "finding roles, s" in capsys.readouterr().out
