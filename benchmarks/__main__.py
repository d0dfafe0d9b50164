"""Run one benchmark, or all of them: ``python -m benchmarks [NAME]``."""

import importlib
import sys

NAMES = (
    "startup",
    "live",
    "throughput",
    "quality",
    "forecast",
    "big_csv",
    "precision",
    "gpu",
    "leak",
    "resume",
    "keeping",
    "reach",
    "tensors",
    "roles",
    "rft",
    "causal",
    "panel",
    "ray_study",
    "study",
    "paper_study",
    "evidence",
)


def main() -> None:
    wanted = sys.argv[1:2]
    if wanted and wanted[0] not in NAMES:
        sys.exit(f"no benchmark named {wanted[0]!r}; there is {', '.join(NAMES)}")
    for name in wanted or NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        module.main(sys.argv[2:])


if __name__ == "__main__":
    main()
