"""How often the evidence of a study is wrong, and what it can show: simulated studies with a known truth.

Seeds shift all methods alike; each method has a stroke of luck of its own with a seed, which lasts over data sizes, and
luck in each run. Scores are shares of so many test texts. No model is trained.

python -m benchmarks evidence                              # all of it
python -m benchmarks evidence --part on_texts --studies 200    # the table of right answers alone, into the same record
"""

import argparse
import itertools
import json
import time

import numpy as np
from scipy.special import ndtri

from benchmarks.common import RESULTS, keep, machine
from peft_lab.evidence import comparisons, on_texts, two_levels
from peft_lab.evidence.paired import paired
from peft_lab.evidence.resampling import bootstrap_interval
from peft_lab.rows import Row, StudyRows

SIZES = (100, 300, 1000, 3000)
NOISE = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy tails (t3)": lambda rng, shape: rng.standard_t(3, size=shape) / np.sqrt(3),
    "skewed": lambda rng, shape: rng.exponential(size=shape) - 1,
    "some collapse": lambda rng, shape: rng.normal(size=shape) - 12 * (rng.random(shape) < 0.1),
}


def study(rng, methods=4, sizes=3, seeds=5, *, effect=0.0, lasting=0.3, sd=0.01, texts=2000, noise="normal"):
    """Rows of one study. ``effect`` is what the last method is better by, ``lasting`` the share of its luck's variance
    that a method keeps with a seed over data sizes."""
    draw = NOISE[noise]
    curve = 0.9 - 0.35 * (np.array(SIZES[:sizes]) / 100) ** -0.5
    shared = 0.02 * rng.normal(size=(1, 1, seeds)) + 0.01 * rng.normal(size=(1, sizes, seeds))
    own = np.sqrt(lasting) * draw(rng, (methods, 1, seeds)) + np.sqrt(1 - lasting) * draw(rng, (methods, sizes, seeds))
    scores = curve[None, :, None] + shared + sd * own
    scores[-1] += effect
    scores = np.round(np.clip(scores, 0, 1) * texts) / texts
    rows = [
        Row(f"m{m}", SIZES[s], str(SIZES[s]), None, seed, "finished", "accuracy", {"accuracy": scores[m, s, seed]})
        for m, s, seed in np.ndindex(scores.shape)
    ]
    return StudyRows("simulated", {"methods": [f"m{m}" for m in range(methods)]}, tuple(rows))


def false_alarms(studies, seed=0, level=0.05, against=None, **how):
    """In how many of so many studies without any difference one was shown."""
    rng = np.random.default_rng(seed)
    return sum(any(c.differs for c in comparisons(study(rng, **how), against, level=level)) for _ in range(studies))


def shown(studies, effect, seed=0, **how):
    """In how many studies the method that is better by ``effect`` was shown to be, against a named one."""
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(studies):
        made = comparisons(study(rng, effect=effect, **how), "m0")
        found += next(c for c in made if c.method == f"m{how['methods'] - 1}").verdict == "better"
    return found


def flips_alone(studies, seed=0, level=0.05, **how):
    """False alarms, for one pair, of flips of (rows, seed) blocks alone, of the t-test alone, and of their maximum."""
    rng, found = np.random.default_rng(seed), np.zeros(3, dtype=int)
    for _ in range(studies):
        one, other = (
            {(r.examples, None, r.seed): r.test["accuracy"] for r in rows}
            for _, rows in itertools.groupby(study(rng, methods=2, **how).rows, key=lambda r: r.method)
        )
        result = paired(one, other)
        found += [p <= level for p in (result.permutation_p, result.t_p, max(result.permutation_p, result.t_p))]
    return dict(zip(("flips", "t", "both"), found.tolist(), strict=True))


def coverage(studies, n, seed=0):
    """How often intervals of a mean of ``n`` normal differences hold the truth."""
    rng, held = np.random.default_rng(seed), np.zeros(3, dtype=int)
    from peft_lab.evidence.summary import t_interval

    for _ in range(studies):
        values = rng.normal(size=n)
        for at, (low, high) in enumerate(
            (bootstrap_interval(values, expanded=False), bootstrap_interval(values), t_interval(values))
        ):
            held[at] += low <= 0 <= high
    return dict(zip(("percentile", "expanded", "t"), (held / studies).tolist(), strict=True))


def coverage_of_two_levels(studies, seeds, texts, seed=0):
    """How often the interval over seeds and texts holds the true difference; and how often one is shown wrongly."""
    rng, held, wrong = np.random.default_rng(seed), 0, 0
    for _ in range(studies):
        texts_share = rng.normal(0, 1, texts)
        right = [
            texts_share
            + rng.normal(0, 0.15, (seeds, 1))
            + rng.normal(0, 0.5, texts)
            + rng.normal(0, 0.5, (seeds, texts))
            > -1
            for _ in range(2)
        ]
        found = two_levels(*right)
        held += found.low <= 0 <= found.high
        wrong += found.verdict != "no difference shown"
    return {"held": held / studies, "shown": wrong / studies}


def answered(rng, methods=4, seeds=3, *, luck=0.01, texts=500, own=0.3, effect=0.0, noise="normal"):
    """What is right, [method, seed, text]: four of five, and with each method and seed as much more or less as its luck
    is. Texts are drawn too: 0.4 of what makes one hard is the same for all, ``own`` the same for a method's seeds."""
    share = 0.8 + luck * NOISE[noise](rng, (methods, seeds, 1))
    share[-1] += effect
    hard = np.sqrt(0.4) * rng.normal(size=(1, 1, texts)) + np.sqrt(own) * rng.normal(size=(methods, 1, texts))
    return hard + np.sqrt(0.6 - own) * rng.normal(size=(methods, seeds, texts)) < ndtri(np.clip(share, 1e-6, 1 - 1e-6))


def verdicts_on_texts(right, level=0.05):
    """By method, against the one with most right answers, as the table of a study does it."""
    names = [f"m{m}" for m in range(len(right))]
    pairs = {(names[a], names[b]): (right[a], right[b]) for a, b in itertools.combinations(range(len(right)), 2)}
    best = names[int(right.mean(axis=(1, 2)).argmax())]
    return best, {one.method: one.verdict for one in on_texts(pairs, best, level=level)}


def false_alarms_on_texts(studies, seed=0, level=0.05, **how):
    """In how many of so many studies without any difference the table of right answers showed one."""
    rng = np.random.default_rng(seed)
    made = (verdicts_on_texts(answered(rng, **how), level)[1] for _ in range(studies))
    return sum(set(verdicts.values()) != {"no difference shown"} for verdicts in made)


def shown_on_texts(studies, effect, seed=0, **how):
    """In how many studies the last method, better by ``effect``, was shown to be better than all others."""
    rng = np.random.default_rng(seed)
    made = (verdicts_on_texts(answered(rng, effect=effect, **how)) for _ in range(studies))
    return sum(best == f"m{how['methods'] - 1}" and set(said.values()) == {"worse"} for best, said in made)


NULLS_ON_TEXTS = [
    *(
        {"methods": m, "seeds": n, "luck": luck}
        for m, n in ((2, 2), (2, 3), (2, 5), (4, 3), (4, 5), (7, 3), (7, 5))
        for luck in (0.0, 0.01, 0.02, 0.05)
    ),
    *({"methods": 4, "seeds": 5, "luck": 0.02, "own": own} for own in (0.0, 0.6)),
    *({"methods": 2, "seeds": n, "luck": 0.02, "texts": 24} for n in (2, 5)),
    *({"methods": 4, "seeds": 5, "luck": 0.05, "texts": t} for t in (100, 2000)),
    *({"methods": 4, "seeds": 5, "luck": 0.02, "noise": noise} for noise in NOISE if noise != "normal"),
    *({"methods": 2, "seeds": 3, "luck": 0.02, "noise": noise} for noise in NOISE if noise != "normal"),
    {"methods": 4, "seeds": 1, "luck": 0.01},
]


def of_on_texts(studies):
    """False alarms and power of the table of right answers."""
    nulls = [{**how, "studies": studies, "alarms": false_alarms_on_texts(studies, **how)} for how in NULLS_ON_TEXTS]
    many = 20 * studies  # where luck of seeds is all, one pair stands exactly at its level
    for how in ({"methods": 2, "seeds": seeds, "luck": 0.05} for seeds in (3, 5)):
        nulls.append({**how, "studies": many, "alarms": false_alarms_on_texts(many, seed=1, **how)})
    power = [
        {
            "methods": m,
            "seeds": n,
            "effect": e,
            "studies": studies,
            "shown": shown_on_texts(studies, e, methods=m, seeds=n),
        }
        for m, n in ((2, 2), (2, 3), (2, 5), (4, 3), (4, 5), (7, 5))
        for e in (0.025, 0.05, 0.1)
    ]
    covered = {
        f"{n} x {t}": coverage_of_two_levels(studies, n, t) for n, t in ((1, 300), (3, 300), (5, 300), (5, 1500))
    }
    for part in (*nulls, *power, covered):
        print(part, flush=True)
    return {"machine": machine(), "nulls": nulls, "power": power, "intervals": covered}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks evidence")
    parser.add_argument("--studies", type=int, default=600)
    parser.add_argument("--part", choices=["on_texts"], help="that alone; the rest of the record stays as it is")
    parser.add_argument("--dry", action="store_true", help="write no record")
    a = parser.parse_args(argv)
    started = time.perf_counter()
    if a.part:
        part, file = of_on_texts(a.studies), RESULTS / "evidence.json"
        if not a.dry:
            record = json.loads(file.read_text())
            record["results"][a.part] = part
            file.write_text(json.dumps(record, indent=1) + "\n")
        print(f"{time.perf_counter() - started:.1f} s")
        return
    nulls = []
    designs = [
        *(
            {"methods": m, "sizes": s, "seeds": n}
            for m, s, n in ((7, 4, 5), (7, 4, 3), (4, 3, 5), (2, 1, 3), (3, 1, 5), (3, 1, 8))
        ),
        *({"methods": 4, "sizes": 3, "seeds": 5, "noise": noise} for noise in NOISE if noise != "normal"),
        *({"methods": 3, "sizes": 1, "seeds": 3, "noise": noise} for noise in NOISE),
        {"methods": 4, "sizes": 3, "seeds": 5, "lasting": 0.9},
        {"methods": 4, "sizes": 3, "seeds": 5, "texts": 100},
        {"methods": 4, "sizes": 1, "seeds": 3, "texts": 100},
        {"methods": 4, "sizes": 1, "seeds": 3, "texts": 40},
    ]
    for how in designs:
        nulls.append({**how, "studies": a.studies, "alarms": false_alarms(a.studies, **how)})
        print(nulls[-1], flush=True)
    power = []
    for methods, sizes, seeds in ((2, 1, 5), (2, 4, 3), (2, 4, 5), (7, 4, 5), (7, 4, 8)):
        for effect in (0.005, 0.01, 0.02, 0.04):
            how = {"methods": methods, "sizes": sizes, "seeds": seeds}
            few = max(100, a.studies // 5)
            power.append({**how, "effect": effect, "studies": few, "shown": shown(few, effect, **how)})
            print(power[-1], flush=True)
    flips = [
        {"lasting": share, "studies": 2 * a.studies, **flips_alone(2 * a.studies, sizes=4, seeds=5, lasting=share)}
        for share in (0.0, 0.3, 0.9)
    ]
    covered = {n: coverage(4 * a.studies, n) for n in (3, 4, 5, 8)}
    for part in (*flips, covered):
        print(part)
    right = of_on_texts(a.studies)
    seconds = round(time.perf_counter() - started, 1)
    if not a.dry:
        keep("evidence", {"nulls": nulls, "power": power, "flips": flips, "intervals": covered, "on_texts": right})
    print(f"{seconds} s")
