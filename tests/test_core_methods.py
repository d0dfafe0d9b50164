"""The built-in methods keep the contract, and count what their papers count."""

import pytest

from peft_lab.host import Host
from peft_lab.testing import check_method

OWN = [offer.item for name, offer in Host(entry_points=False).offers("methods").items() if not name.startswith("peft:")]


@pytest.mark.parametrize("method", OWN, ids=lambda m: m.name)
def test_contract(method, tmp_path):
    check_method(method, tmp_path)
