"""What a plan says against what training then takes: the plan in one process, the training in another, fresh one.

Memory is the highest resident size while training, time that of training and of all evaluation. Time needs a quiet
machine: what else runs on it, runs in both, but not equally.
"""

import argparse
import json
import subprocess
import sys
import tempfile

from benchmarks.common import ROOT, keep

METHODS = ("full", "bitfit", "lora", "peft:prefix_tuning")
ALLOWED = {"memory": 0.15, "seconds": 0.25, "all_seconds": 0.25}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks forecast")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[16, 64])
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--data", default="helpdesk")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--dry", action="store_true", help="write no record")
    a = parser.parse_args(argv)
    rows = []
    for _ in range(a.rounds):
        for method in a.methods:
            for size in a.batch_sizes:
                asked = {"methods": method, "model": a.model, "data": a.data, "batch_size": size, "epochs": a.epochs}
                rows.append(
                    {"method": method, "batch_size": size, **compared(apart("plan", asked), apart("train", asked))}
                )
                print(json.dumps(rows[-1]), flush=True)
    if not a.dry:
        keep("forecast", rows)
    report(rows)


def apart(what: str, asked: dict) -> dict:
    """Do one thing in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.forecast", what, json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def compared(plan: dict, run: dict) -> dict:
    """Forecast, measurement and how far off, for each figure."""
    off = {f"{name}_off": plan[name] / run[name] - 1 for name in ALLOWED}
    start = {"start_memory_off": run["start_memory"] / run["memory"] - 1}
    if run["start_seconds"] is not None:
        start["start_seconds_off"] = run["start_seconds"] / run["seconds"] - 1
    return {"plan": plan, "run": run, **off, **start}


def report(rows: list[dict]) -> None:
    print("| method | batch | memory: plan, measured | off | training: plan, measured | off | all, off | own memory |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        plan, run = row["plan"], row["run"]
        memory = f"{plan['memory'] / 1e6:.0f}, {run['memory'] / 1e6:.0f} MB"
        time = f"{plan['seconds']:.1f}, {run['seconds']:.1f} s"
        offs = [f"{row[name]:+.1%}" for name in ("memory_off", "seconds_off", "all_seconds_off", "start_memory_off")]
        print(f"| {row['method']} | {row['batch_size']} | {memory} | {offs[0]} | {time} | {' | '.join(offs[1:])} |")
    for name, most in ALLOWED.items():
        worst = max(abs(row[f"{name}_off"]) for row in rows)
        print(f"{name}: at most {worst:.1%} off; allowed {most:.0%}")


def child(what: str, asked: dict) -> None:
    """The plan, or the training, of one recipe; one line of JSON."""
    from peft_lab.lab import Lab

    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder)
        if what == "plan":
            forecast = lab.plan(**asked).forecast
            seconds = forecast.seconds or 0.0
            found = {
                "memory": forecast.memory["peak"],
                "parts": forecast.memory,
                "seconds": seconds,
                "all_seconds": seconds + (forecast.eval_seconds or 0.0),
                "steps": forecast.steps,
            }
        else:
            run = lab.train(**asked)
            cost, start = run.cost, run.record.get("forecast") or {}
            found = {
                "memory": cost["peak_memory"],
                "seconds": cost["seconds"],
                "all_seconds": cost["seconds"] + cost["eval_seconds"],
                "steps": run.record["steps"]["done"],
                "start_memory": start["memory"]["peak"],
                "start_seconds": start["seconds"],
                "precision": run.record["hardware"]["precision"],
            }
    print(json.dumps(found))


if __name__ == "__main__":
    child(sys.argv[1], json.loads(sys.argv[2]))
