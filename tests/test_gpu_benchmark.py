"""The benchmark for a GPU, in small on this machine: every measurement is taken, and one JSON comes out."""

import json

import pytest

from benchmarks import gpu


def test_all_of_it_in_small(tmp_path, capsys):
    gpu.main(["--small", "--out", str(tmp_path / "out" / "gpu.json")])
    kept = json.loads((tmp_path / "out" / "gpu.json").read_text())
    quality, speed = kept["results"]["quality"], kept["results"]["speed"]
    assert {(r["method"], r["precision"]) for r in quality} == {
        (method, precision) for method in ("full", "head") for precision in ("fp32", "bf16")
    }
    assert {r["batch_size"] for r in speed} == {4} and len(speed) == 4
    assert not kept["results"]["left_out"]
    for row in (*quality, *speed):
        assert row["texts_per_second"] > 0 and row["peak_memory"] > 0 and row["steps"] == 3
        assert bool(row["held"]) == (row["precision"] == "bf16")
    assert kept["machine"]["torch"]
    said = capsys.readouterr().out
    assert "| head | bf16 |" in said and "texts/s (MiB) at 4" in said


def test_what_there_is_no_time_for_is_named(tmp_path, capsys):
    gpu.main(["--small", "--minutes", "0", "--out", str(tmp_path / "gpu.json")])
    results = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert not results["quality"] and len(results["left_out"]) == 8
    assert "8 measurements" in capsys.readouterr().out


def test_without_a_gpu_it_says_so(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no CUDA device on this machine"):
        gpu.main([])
