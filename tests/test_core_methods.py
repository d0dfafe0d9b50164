"""The built-in methods keep the contract, and count what their papers count."""

import pytest

from peft_lab.host import Host
from peft_lab.testing import check_method
from peft_lab.testing.contract import ANSWERS_ONLY

OFFERS = Host(entry_points=False).offers("methods")
OWN = [o.item for name, o in OFFERS.items() if not name.startswith("peft:") and name not in ANSWERS_ONLY]


@pytest.mark.parametrize("method", OWN, ids=lambda m: m.name)
def test_contract(method, tmp_path):
    check_method(method, tmp_path)
