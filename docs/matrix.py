"""Tries every built-in method on every family of base models, and writes what came of it into ``families.md``.

python docs/matrix.py              all of it, some minutes
python docs/matrix.py NAME ...     only these methods; the others stay as they are on the page
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("families.md")
BLOCK = re.compile(r"(<!-- matrix -->\n).*?(^<!-- end -->)", re.S | re.M)
TRAINS = "trains"
SHOWN = {
    "bert": "BERT",
    "roberta": "RoBERTa",
    "distilbert": "DistilBERT",
    "electra": "ELECTRA",
    "deberta-v2": "DeBERTa-v2",
    "modernbert": "ModernBERT",
    "albert": "ALBERT",
    "llama": "Llama",
    "qwen2": "Qwen2",
    "qwen3": "Qwen3",
    "gpt2": "GPT-2",
}

Found = dict[str, dict[str, str]]
"""By method and family: ``trains``, or why not."""


def methods() -> dict[str, Any]:
    """All built-in methods that work on labels, by name."""
    from peft_lab.host import Host
    from peft_lab.testing.contract import ANSWERS_ONLY

    offers = Host(entry_points=False).offers("methods").items()
    return {name: offer.item for name, offer in offers if name not in ANSWERS_ONLY}


def tried(name: str, folder: Path, families: Sequence[str] | None = None) -> dict[str, str]:
    """What becomes of one method: ``trains`` or the reason, by family."""
    from peft_lab.testing import FAMILIES, check_families
    from peft_lab.testing.tiny import NEEDED

    outcomes = check_families(methods()[name], folder, NEEDED.get(name), families or FAMILIES)
    return {family: reason(outcome, name, family) for family, outcome in outcomes.items()}


def reason(outcome: str, method: str, family: str) -> str:
    """A refusal in words that hold for other methods and families too."""
    text = outcome.partition(". ")[0].removeprefix(method).strip()
    return re.sub(rf"(?<![\w-]){re.escape(family)}(?![\w-])", "this family", text)


def table(found: Found) -> str:
    """Methods as rows, families as columns, the reasons below."""
    reasons: list[str] = []
    for outcome in (o for row in found.values() for o in row.values()):
        if outcome != TRAINS and outcome not in reasons:
            reasons.append(outcome)
    lines = [f"| method | {' | '.join(SHOWN.values())} |", f"| --- {'| :-: ' * len(SHOWN)}|"]
    for name, row in found.items():
        cells = ("✓" if row[f] == TRAINS else f"({reasons.index(row[f]) + 1})" for f in SHOWN)
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"{i}. {text}" for i, text in enumerate(reasons, 1))]) + "\n"


def read(page: str) -> Found:
    """The matrix as it stands on the page."""
    part = BLOCK.search(page)
    text = part[0] if part else ""
    reasons = {f"({number})": said for number, said in re.findall(r"^(\d+)\. (.+)$", text, re.M)} | {"✓": TRAINS}
    found = {}
    for name, cells in re.findall(r"^\| `(\S+)` \| (.+) \|$", text, re.M):
        found[name] = {f: reasons[cell.strip()] for f, cell in zip(SHOWN, cells.split("|"), strict=True)}
    return found


def write(found: Found) -> None:
    """Put the matrix on the page."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(BLOCK.sub(lambda part: part[1] + table(found) + part[2], page), encoding="utf-8")


def main(names: Sequence[str], say: Callable[[str], None] = print) -> int:
    """Try and write."""
    before = read(PAGE.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        fresh = {name: tried(name, Path(folder)) for name in names or methods()}
    found = {**before, **fresh} if names else fresh
    write({name: found[name] for name in methods() if name in found})
    changed = [name for name, row in fresh.items() if before.get(name) != row]
    say(f"families.md: {len(fresh)} methods tried, changed: {', '.join(changed) or 'none'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
