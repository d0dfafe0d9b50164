"""What to do, as plain data. Equal recipes give equal numbers on the same machine."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from peft_lab.asking import asking
from peft_lab.data_spec import DataSpec
from peft_lab.errors import BadOption, nearest
from pluggy_specs import Method, RunView, Task

if TYPE_CHECKING:
    from peft_lab.host import Host

M = TypeVar("M", bound=BaseModel)


class Training(BaseModel):
    """Settings of the training loop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: float = Field(3, gt=0, description="times the training data is gone through")
    max_steps: int | None = Field(None, ge=1, description="stop after this many steps, whatever the epochs")
    max_seconds: float | None = Field(
        None,
        gt=0,
        description="time budget: end at the step after so many seconds of training, and keep the result; inf: none",
    )
    batch_size: int = Field(32, ge=1, description="texts in one step")
    accumulate: int = Field(1, ge=1, description="batches gathered before the weights move")
    learning_rate: float = Field(1e-3, gt=0, description="highest learning rate, after warm-up")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="decay after warm-up")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of all steps in which the rate rises")
    weight_decay: float = Field(0.01, ge=0, description="decoupled decay of AdamW, not on biases and norms")
    clip: float = Field(1.0, ge=0, description="largest gradient norm; 0 switches clipping off")
    max_length: int = Field(128, ge=4, description="longest text in tokens; what is longer is cut, and counted")
    augment: float = Field(
        0.0, ge=0, lt=1, description="share of words that is changed in copies of the training texts; 0: no copies"
    )
    augment_copies: int = Field(1, ge=1, description="copies of each training text, for --augment")
    synonyms: str = Field(
        "",
        description='a JSON file {"word": ["synonym"]}, for --augment',
        json_schema_extra={"completes": "files"},
    )
    eval_batch_size: int = Field(128, ge=1, description="texts in one evaluation batch; fewer where they are long")
    write_answers: int = Field(
        32,
        ge=0,
        description="held-out tool calls that are really written after training, where models write",
    )
    train_head: Literal["whole", "top"] = Field(
        "whole", description="whole: with its pretrained parts, such as BERT's pooler; top: what sits on the base only"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the hardware multiplies it"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] | str = Field(
        "auto", description="where to train; cuda:1 is the second of several GPUs"
    )

    @field_validator("max_seconds")
    @classmethod
    def _ends_some_day(cls, value: float | None) -> float | None:
        return None if value is None or math.isinf(value) else value

    @field_validator("device")
    @classmethod
    def _names_a_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
            raise PydanticCustomError("device", "input should be 'auto', 'cpu', 'cuda', 'cuda:1' and so on, or 'mps'")
        return value


class MethodSpec(BaseModel):
    """One method of a composition, with every option spelled out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class Start(BaseModel):
    """A run whose trained tensors another one begins from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    """Its folder."""
    weights: str
    """SHA-256 of its weights file."""


class Recipe(BaseModel):
    """Model, data, methods with options, training settings, seed. JSON in, JSON out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    data: DataSpec
    methods: tuple[MethodSpec, ...] = Field(min_length=1)
    training: Training = Training()
    seed: int = Field(0, ge=0, description="of head, adapters, dropout and data order")
    start: Start | None = None

    @property
    def method(self) -> str:
        """The composition as it is typed: ``lora+rft``."""
        return "+".join(m.name for m in self.methods)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON, without what came later to recipes and is not used here."""
        data = self.model_dump(mode="json")
        if self.start is None:
            del data["start"]
        if self.training.max_seconds is None:
            del data["training"]["max_seconds"]
        for name in self.data.unsaid:
            del data["data"][name]
        text = json.dumps(data, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Check JSON data, with one line for what is wrong first."""
        return checked(cls, data, "recipe")


def compose(
    host: Host,
    names: str,
    settings: Mapping[str, Any],
    *,
    model: str,
    data: DataSpec,
    defaults: Mapping[str, Any] | None = None,
    find_run: Callable[[str], RunView] | None = None,
    task: type[Task] | None = None,
) -> Recipe:
    """Build a recipe from what a person types: ``lora+rft`` and flat settings.

    A setting is a training setting, ``seed``, or an option of one of the methods; where two methods share an option's
    name it is written ``method.option``, or ``{method: {option: value}}``. ``defaults`` are training settings and
    ``seed`` where ``settings`` says nothing; they come before what a method suggests, and that before what the ``task``
    needs, which has a say in the rates that methods suggest. ``find_run`` finds the run that an option names.
    """
    defaults = dict(defaults or {})
    classes = [host.find("methods", name.strip()) for name in names.split("+")]
    if all(cls.companion for cls in classes):
        raise BadOption(
            f"{names} trains nothing of its own", f"Join it to a method that does: {classes[0].companion}+{names}"
        )
    options, training, seed = sort_out(classes, settings)
    for cls in classes:
        options[cls.name] = _from_run(cls, options[cls.name], find_run)
    seed = {"seed": defaults.pop("seed"), **seed} if "seed" in defaults else seed
    suggested: dict[str, Any] = {}
    for cls in reversed(classes):  # the first method written has the last word
        suggested.update(cls.training)
    if task is not None:
        usual = suggested.get("learning_rate", Training.model_fields["learning_rate"].default)
        suggested = {**task.training, **suggested, "learning_rate": float(f"{usual * task.rate:.6g}")}
    specs = tuple(
        MethodSpec(name=c.name, options=checked(c.Options, options[c.name], c.name).model_dump(mode="json"))
        for c in classes
    )
    settled = checked(Training, {**suggested, **defaults, **training}, "training")
    return checked(Recipe, {"model": model, "data": data, "methods": specs, "training": settled, **seed}, "recipe")


def make_methods(host: Host, recipe: Recipe) -> list[Method]:
    """Instances of the recipe's methods, in the order written."""
    made = []
    for spec in recipe.methods:
        cls = host.find("methods", spec.name)
        made.append(cls(checked(cls.Options, spec.options, spec.name)))
    return made


def _from_run(cls: type[Method], options: dict[str, Any], find_run: Callable[[str], RunView] | None) -> dict[str, Any]:
    """Options in which no run is named any more: what was wanted of it stands there instead."""
    for name, field in cls.Options.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("run") and options.get(name) and find_run:
            with asking("methods", cls.name, "from_run"):
                options = dict(cls.from_run(options, find_run(str(options[name]))))
    return options


def sort_out(
    classes: list[type[Method]], settings: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """Options by method, training settings, and ``seed``, out of flat settings.

    Raises:
        BadOption: a setting is nobody's, or that of several methods.
    """
    options: dict[str, dict[str, Any]] = {c.name: {} for c in classes}
    if len(options) < len(classes):
        raise BadOption("the same method is written twice", "Name each method once")
    training: dict[str, Any] = {}
    seed: dict[str, Any] = {}
    for key, value in settings.items():
        name = key.replace("-", "_")
        method, dot, option = key.partition(".")
        owners = [c.name for c in classes if name in c.Options.model_fields]
        if key in options and isinstance(value, Mapping):
            options[key].update(value)
        elif dot and method in options:
            options[method][option.replace("-", "_")] = value
        elif name == "seed":
            seed["seed"] = value
        elif name in Training.model_fields and not owners:
            training[name] = value
        elif len(owners) == 1:
            options[owners[0]][name] = value
        elif owners:
            ways = " or ".join(f"{o}.{name}" for o in owners)
            raise BadOption(f"{name!r} is an option of {' and '.join(owners)}", f"Write {ways}", key=name)
        else:
            known = {"seed", *Training.model_fields, *(f for c in classes for f in c.Options.model_fields)}
            raise BadOption(f"{key!r} is no setting of {'+'.join(options)}", nearest(name, known, most=40), key=name)
    return options, training, seed


def checked(cls: type[M], values: Mapping[str, Any], owner: str) -> M:
    """Validate, turning pydantic's report into one line about the first thing that is wrong."""
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        key = f"{owner}.{first['loc'][0]}" if first["loc"] else owner
        if first["type"] == "extra_forbidden":
            raise BadOption(f"{owner} has no {where!r}", nearest(where, cls.model_fields, most=40), key) from None
        got = f", not {first['input']!r}" if first["type"] != "missing" else ""
        said = f"{owner}: {where}: {_lower_first(first['msg'])}{got}"
        raise BadOption(said, help_of(cls, first["loc"]), key) from None


def help_of(cls: type[BaseModel], loc: Iterable[Any]) -> str:
    """The description of a field as a sentence, or nothing."""
    field = cls.model_fields.get(str(next(iter(loc), "")))
    return f"It means: {field.description}" if field and field.description else ""


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
