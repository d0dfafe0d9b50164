"""The types a plugin meets: methods, views, tasks, sources, executors and the artifacts between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from pluggy_specs.errors import in_one_line

if TYPE_CHECKING:
    import torch

Batch = Mapping[str, Any]
"""Tensors by name (``input_ids``, ``attention_mask``, ``labels``, ...), each with the batch as its first axis."""

Table = Sequence[Mapping[str, Any]]
"""Rows of text data. Built-in sources give a Hugging Face ``datasets.Dataset``; a list of dicts serves as well."""


class Options(BaseModel):
    """Options of a method, view or executor. One declaration gives flags, completion, validation, JSON and docs.

    Give each field a default and a ``Field(description=...)``; unknown names are refused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Array:
    """Numbers with named axes, e.g. ``Array(gates, ("layer", "token"))``.

    ``labels`` names the places along an axis: ``{"layer": ["0", "1", "2"]}``.
    """

    values: Any
    axes: tuple[str, ...]
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Artifact:
    """What a method leaves for views to draw: named arrays of a named kind. The only thing between the two.

    Kinds the core writes for every run: ``parameter-change`` and ``trainable-by-layer``, what was answered on a split
    as ``test-answers`` and ``validation-answers``, and ``sparse-mask`` where a method has :meth:`Method.masks`. A
    method that changes weights without training them (LoRA's product) may yield ``effective-change``, which the core
    works into ``parameter-change``: arrays ``moved`` (squared norm of the change), ``size`` (squared norm of the
    weight) and ``entries``, all with the axis ``module``, labelled by module name.
    """

    kind: str
    arrays: Mapping[str, Array]
    note: str = ""


class MethodContext(Protocol):
    """What a method may see while it is attached and prepared. Batches come from the training split only."""

    device: torch.device
    generator: torch.Generator
    tokenizer: Any
    task: Task
    head: frozenset[str]
    """Names of the parameters of the task head, which the core trains by itself."""
    rows: Table | None
    """The training split as text; None where a saved run is built again, as what was learned from it is in
    :attr:`Method.memory`."""
    held_out: Table | None
    """Some rows that nothing was trained on, to be shown. In :meth:`Method.artifacts` of tasks that generate, else
    None."""
    rehearsal: bool
    """Whether no training follows but a few steps to see what they cost, as for a plan. What takes long and changes
    neither what trains nor what a step costs can be left out then."""

    def note(self, text: str) -> None:
        """Something a person should know about this run; it stands on the card."""

    def progress(self, doing: str, done: int, of: int) -> bool:
        """Say how far something long is, such as ``("choosing weights: batch", 3, 18)``, where training is shown.

        False once somebody asked for a stop: leave off then. The run ends before its first step, and what was left
        undone is done when it goes on.
        """

    def batches(self, count: int) -> Iterator[Batch]:
        """Up to ``count`` training batches, on the device, in an order drawn from ``generator``."""

    def loss(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Mean training loss of a batch, a scalar that can be differentiated."""

    def sweep(self, rows: Table | None = None) -> Iterator[Batch]:
        """Every training row once, or other rows with answers (the same columns), the longest first.

        ``batch["row"]`` has the number of each in its table; rows that have nothing to teach are left out. Of tasks
        that generate only.
        """

    def base(self) -> torch.nn.Module:
        """Another copy of the base model as it was loaded: without methods, frozen, in eval mode, on the device, in the
        run's precision. The caller may change it and drop it."""


class Method:
    """A PEFT method. It answers at least one question; the core does the freezing, counting, saving and proving.

    ==================  =====================================================
    which weights       :meth:`attach`, :meth:`masks`
    which units         :meth:`adapt_tokenizer`
    which tokens        :meth:`weigh_tokens`
    how far             :meth:`penalty`, :meth:`pull`, :meth:`rates`
    ==================  =====================================================

    An instance serves one run and may keep state on ``self`` between its hooks.
    """

    name: ClassVar[str] = ""
    """Lower case with hyphens."""
    summary: ClassVar[str] = ""
    """One line, shown in lists, help and panels."""
    paper: ClassVar[str] = ""
    """Such as ``arXiv:2106.10199``."""
    Options: ClassVar[type[BaseModel]] = Options
    training: ClassVar[Mapping[str, Any]] = {}
    """Training settings used where the person says nothing: ``{"learning_rate": 1e-3}``."""
    companion: ClassVar[str] = ""
    """Of a method that trains nothing of its own, but holds or changes what others train: one it goes with, such as
    ``full``. Alone it is refused."""
    memory: Mapping[str, Any] = {}
    """What :meth:`adapt_tokenizer` learned from the training split and cannot do without when the run is built again,
    as plain data: set by it, kept in the run, and given back before it is asked again."""
    peft_config: Any = None
    """Set by :meth:`attach` of a method that is one tuner of Hugging Face PEFT: its config. What was trained is then
    saved in PEFT's own layout."""

    def __init__(self, options: BaseModel | None = None) -> None:
        self.options: Any = options if options is not None else self.Options()

    @classmethod
    def from_run(cls, options: Mapping[str, Any], run: RunView) -> Mapping[str, Any]:
        """Options taken from what another run left, as plain data that a recipe can keep.

        Asked where an option that names a run is given: one declared with ``json_schema_extra={"run": True}``. What is
        returned stands for ``options``, without that one.
        """
        return options

    def adapt_tokenizer(self, tokenizer: Any, context: MethodContext) -> Any:
        """Change how text is cut into units; return the tokenizer to use. Runs before the model is loaded."""
        return tokenizer

    def positions(self, config: Any) -> int:
        """Positions taken from a text, such as virtual tokens before it; the longest text is that much shorter.

        Asked before texts are cut and the model is loaded; ``config`` is the model's.
        """
        return 0

    def attach(self, model: torch.nn.Module, context: MethodContext) -> torch.nn.Module | None:
        """Mark what trains (``requires_grad_(True)``) or add modules. Everything arrives frozen.

        Return a wrapped model, or None when the model was changed in place.
        """

    def prepare(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Calibrate on training batches, before masks are asked for and before the optimizer exists."""

    def masks(self, model: torch.nn.Module) -> Mapping[str, torch.Tensor]:
        """Entries that train, as ``{parameter name: flat indices}``; all other entries stay bit-identical."""
        return {}

    def settle(self, model: torch.nn.Module, context: MethodContext) -> None:
        """What trains is known, and everything stands where it starts: remember it, or put hooks. Before training
        only, also before a run goes on."""

    def rates(self, model: torch.nn.Module) -> Mapping[str, float]:
        """Factors for the learning rate of some parameters, by name. Those of several methods are multiplied."""
        return {}

    def pull(self, model: torch.nn.Module) -> Mapping[str, float]:
        """How strongly some parameters are drawn to where they started, by name.

        Before the optimizer moves them, ``p -= rate * strength * (p - start)``; their ordinary decay is off. Those of
        several methods are added.
        """
        return {}

    def weigh_tokens(self, losses: torch.Tensor, batch: Batch) -> torch.Tensor | None:
        """Weights shaped like ``losses``, [batch, token]; they are multiplied with those of other methods."""
        return None

    def penalty(self, model: torch.nn.Module) -> torch.Tensor | None:
        """A scalar added to the loss of every step."""
        return None

    def artifacts(self, model: torch.nn.Module, context: MethodContext) -> Iterable[Artifact]:
        """What views may draw, asked for once the best state is back in the model."""
        return ()


class RunView(Protocol):
    """A run as a view sees it: results on disk, readable without torch."""

    id: str
    path: Path

    @property
    def recipe(self) -> Any:
        """What was asked for: ``model``, ``data``, ``methods`` and ``training``."""

    @property
    def status(self) -> str:
        """``running``, ``finished``, ``stopped``, ``failed`` or ``crashed``."""

    @property
    def headline(self) -> str:
        """Name of the metric that chose the best state."""

    @property
    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """Final values by split: ``metrics["test"]["accuracy"]``."""

    @property
    def history(self) -> Any:
        """All metric points as a pandas DataFrame."""

    @property
    def cost(self) -> Mapping[str, Any]:
        """``trainable``, ``total``, ``seconds``, ``peak_memory`` (bytes), ``bytes_on_disk``."""

    def artifact(self, kind: str) -> Artifact:
        """The artifact of a kind, with numpy arrays."""


@dataclass(frozen=True)
class Drawing:
    """What a view returns. ``alt`` is a sentence that says what the picture shows, with its main number.

    Give a matplotlib ``Figure`` (never through pyplot), or ``html`` with inline styles only, or both. ``text`` stands
    below the sentence where only text can be shown, such as in a terminal.
    """

    alt: str
    figure: Any = None
    html: str = ""
    text: str = ""


class View:
    """Draws results: a function of one or many runs. It never trains and knows no method, only artifact kinds."""

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    """Artifact kinds each run must have; none means that metrics are enough."""
    many: ClassVar[bool] = False
    """True when it compares runs; otherwise :meth:`draw` gets exactly one."""
    Options: ClassVar[type[BaseModel]] = Options

    def __init__(self, options: BaseModel | None = None) -> None:
        self.options: Any = options if options is not None else self.Options()

    def draw(self, runs: Sequence[RunView]) -> Drawing:
        """Draw the runs."""
        raise NotImplementedError


class Task:
    """What is predicted and how it is scored. ``targets`` is plain JSON data, kept in the run."""

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    auto_class: ClassVar[str] = ""
    """The transformers auto class that puts the right head on a base model."""
    headline: ClassVar[str] = ""
    """The metric that chooses the best state and sorts comparisons; higher is better."""
    by_word: ClassVar[bool] = False
    """True where every word of a text has a label of its own. Words are what single blanks separate. The core labels
    the first token of each word: ``labels`` of a batch are then [batch, token], with -100 wherever nothing is
    supervised. :meth:`metrics` and :meth:`answers` get one row of outputs for each word."""
    generates: ClassVar[bool] = False
    """True where the answer is text that the model writes. ``labels`` of a batch are then the ids of the answer's
    tokens, [batch, token], each where it stands in ``input_ids``, -100 elsewhere, and ``row`` has the number of each
    row in its split. :meth:`metrics` gets one row of outputs for each token of an answer, and as labels their ids."""
    training: ClassVar[Mapping[str, Any]] = {}
    """Training settings that such a task needs where neither a method nor the person says anything:
    ``{"max_length": 512}``."""
    rate: ClassVar[float] = 1.0
    """What the learning rates that methods suggest are multiplied by for such a task."""

    def targets(self, train: Table) -> Mapping[str, Any]:
        """What the labels are, read from the training split: ``{"labels": [...]}``."""
        raise NotImplementedError

    def scores(self, targets: Mapping[str, Any]) -> Sequence[str]:
        """Names of the metrics that can choose the best state, higher being better; the first one does by itself."""
        return (self.headline,)

    def model_settings(self, targets: Mapping[str, Any]) -> Mapping[str, Any]:
        """Settings for the model's config, such as ``num_labels``."""
        raise NotImplementedError

    def encode_labels(self, rows: Table, targets: Mapping[str, Any]) -> Sequence[Any]:
        """The ``label`` column as numbers that :meth:`losses` understands; by word, an array for each text."""
        raise NotImplementedError

    def outputs(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Raw outputs of one forward pass, one row for each text: [batch, ...]."""
        raise NotImplementedError

    def losses(self, outputs: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Unreduced losses and a 0/1 mask of what is supervised, both shaped [batch, token]."""
        raise NotImplementedError

    def metrics(self, outputs: Any, labels: Sequence[Any], targets: Mapping[str, Any]) -> Mapping[str, float]:
        """Scores of numpy outputs against encoded labels; contains all of :meth:`scores`.

        A score ``constant`` of 1 says that all answers are the same: the core makes a note of it. By word, outputs
        are [word, ...] for each text, NaN for a word that was cut off.
        """
        raise NotImplementedError

    def answers(self, outputs: Any, targets: Mapping[str, Any]) -> Sequence[Sequence[tuple[str, float]]]:
        """For each text, or each word, the possible answers with their scores, best first.

        A score that is NaN is not shown.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ModelSource:
    """A base model with a name, its files already on this machine (or made by ``folder``, offline)."""

    name: str
    summary: str
    folder: Callable[[], Path]
    """Where the files are; raises ``FileNotFoundError`` with what to install when they are missing."""
    sha256: str = ""
    """Of ``model.safetensors``; checked when given."""
    licence: str = ""


@dataclass(frozen=True)
class DatasetSource:
    """A named data set. ``splits`` gives files or rows by split; ``train`` must be there."""

    name: str
    summary: str
    splits: Callable[[], Mapping[str, Path | Table]]
    task: str = "classification"
    text: str = "text"
    text_pair: str | None = None
    label: str = "label"
    licence: str = ""
    metric: str = ""
    """The score by which such data is judged, where it is not the task's usual one."""


class Executor:
    """A place where recipes are trained. One of its two functions is enough."""

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    Options: ClassVar[type[BaseModel]] = Options

    def __init__(self, options: BaseModel | None = None) -> None:
        self.options: Any = options if options is not None else self.Options()

    def train_each(
        self, train: Callable[[Mapping[str, Any]], str], recipes: Iterable[Mapping[str, Any]]
    ) -> Iterator[str]:
        """Call ``train`` (recipe as JSON data in, run id out) for each recipe; yield run ids as they end.

        ``train`` belongs to this process and cannot be sent to another one.
        """
        for recipe in recipes:
            yield train(recipe)

    def run_cells(
        self,
        work: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        cells: Iterable[Mapping[str, Any]],
        stop: Callable[[], bool],
    ) -> Iterator[Mapping[str, Any]]:
        """Call ``work`` for each cell (JSON data in, JSON data out), here or elsewhere; yield what comes back.

        ``work`` is a function of a module, or a ``functools.partial`` of one, so that it can be sent to another
        process. A cell has an ``address``, and a ``folder`` that its run is written to. Results come in any order. What
        ``work`` raises for one cell ends no other: ``{"cell": address, "error": "one line"}`` is yielded for it. The
        next cell is asked for when there is room for it. When ``stop()`` turns true, no cell is begun any more, and
        those that run are asked to stop; it may be called from another thread. As written here: one cell after another
        in this process.
        """
        waiting = iter(cells)
        while not stop() and (cell := next(waiting, None)) is not None:
            try:
                result = work(cell)
            except (Exception, SystemExit) as error:
                result = failed_cell(cell, error)
            yield result


def failed_cell(cell: Mapping[str, Any], error: BaseException | str) -> dict[str, Any]:
    """What :meth:`Executor.run_cells` yields for a cell that nothing came of: its address, and why, in one line."""
    return {"cell": cell.get("address"), "error": error if isinstance(error, str) else in_one_line(error)}
