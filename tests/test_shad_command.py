"""What ``%peft shad`` refuses, it refuses by the names of its own flags."""

from __future__ import annotations

import pytest

from peft_lab.errors import BadOption
from peft_lab.host import Host
from peft_lab.lab import Lab
from peft_lab.notebook.parsing import parse
from peft_lab.operations import operations_of
from peft_lab.testing.tiny import tiny_calls
from pluggy_specs import DatasetSource


@pytest.fixture
def do(tmp_path):
    host = Host(entry_points=False)
    splits = {"train": tiny_calls(12)}
    host.add(DatasetSource("calls", "tool calls", lambda: splits, task="causal", text_pair="text_pair"))
    lab = Lab(tmp_path / "runs", host=host)
    return lambda line, body=None: parse(line, body, operations_of(Lab), lambda: host).on(lab)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--rows 1", "--rows: input should be greater than or equal to 2, not 1"),
        ("--steps -1", "--steps: input should be greater than or equal to 0, not -1"),
        ("--rate 0", "--rate: input should be greater than 0, not 0.0"),
        ("--seed -1", "--seed: input should be greater than or equal to 0, not -1"),
    ],
)
def test_a_wrong_value_is_told_by_its_flag(do, flags, said):
    with pytest.raises(BadOption) as caught:
        do(f"shad calls {flags}")
    assert caught.value.message == said
    assert "It means: " in str(caught.value) and "shad_" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_wrong_value_in_a_cell_is_told_by_its_line(do):
    with pytest.raises(BadOption) as caught:
        do("shad calls", "steps: 4\nrows: 1")
    assert caught.value.message == "line 3 of the cell: --rows: input should be greater than or equal to 2, not 1"


def test_other_errors_are_as_they_are(do):
    with pytest.raises(BadOption, match="training: max_length: input should be greater than or equal to 4, not 1"):
        do("shad calls --max-length 1")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--steps 5", "shad drift takes no --steps"),
        ("--steps 0", "shad drift takes no --steps"),
        ("--quick --rows 9", "shad drift takes no --rows and no --quick"),
        ("--model smollm2", "shad drift takes no --model"),
        ("--rate 1e-3 --seed 2 --max-length 64", "shad drift takes no --rate and no --seed and no --max-length"),
    ],
)
def test_drift_takes_none_of_the_flags(do, flags, said):
    with pytest.raises(BadOption) as caught:
        do(f"shad drift run-1 calls {flags}")
    assert caught.value.message == said and "\n" not in str(caught.value)
