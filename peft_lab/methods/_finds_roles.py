"""What methods that need to know reasoning from boilerplate share: options, finding the roles, showing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from peft_lab.methods._roles_by_rule import roles_by_rule
from peft_lab.methods._shad import Differences, Settings, differences_of, find_differences
from peft_lab.methods._shad_rows import Row, rows_of, shared_by
from peft_lab.methods._shad_tuning import Effort
from peft_lab.methods._shad_words import not_found, said_of, said_of_rule
from peft_lab.methods._token_roles import Shown, token_roles
from pluggy_specs import Artifact, Batch, Method, MethodContext, MethodRefused, Options
from pluggy_specs.pieces import UNSUPERVISED

if TYPE_CHECKING:
    import torch

AT_MOST = 8
"""Rows in a step of tuning where nothing is said."""
MOST_SHOWN, MOST_WEIGHED = 64, 16
"""Rows that were trained on whose tokens are kept to be shown, beside those held out; where each takes another pass of
the trained model for its weights, fewer."""


class RoleOptions(Options):
    """How roles are found."""

    roles: Literal["shad", "regex", "json"] = Field(
        "shad", description="shad: by shuffling; regex and json: by rules about the text, to compare with"
    )
    patterns: tuple[str, ...] = Field(
        (),
        description="what is boilerplate for --roles regex; frames of tool calls when none is given",
        json_schema_extra={"whole": True},
    )
    shad_rows: int | None = Field(
        None, ge=2, description="rows of each kind of answers that change places; 1 % and at least 48 when not given"
    )
    shad_steps: int = Field(18, ge=0, description="steps of tuning on them")
    shad_batch: int | None = Field(
        None, ge=1, description="rows in one of these steps; 8 when not given, fewer where answers are long"
    )
    shad_rate: float = Field(2e-3, gt=0, description="learning rate of these steps, falling to zero")
    shad_rank: int = Field(8, ge=1, description="rank of the change that is tuned and dropped again")
    shad_by: Literal["word", "token"] = Field(
        "word", description="what has one role: a word, told by the token of it that rises most, or each token"
    )
    upper: float = Field(0.33, gt=0, le=1, description="share of the layers that this change is beside: the upper ones")
    shad_targets: Literal["query-value", "attention", "all-linear"] = Field(
        "all-linear", description="linear layers that this change is beside"
    )
    shad_seed: int = Field(0, ge=0, description="of who gets whose answer; not that of the training")
    control: bool = Field(
        False, description="tune twice more, on rows as they are and on the same shuffled: can roles be trusted?"
    )


class FindsRoles(Method):
    """A method that knows for every supervised token of the training rows whether it is reasoning."""

    Options = RoleOptions

    rows: list[Row]
    starts: np.ndarray
    """Where each training row, by its number, begins in :attr:`roles`."""
    roles: torch.Tensor
    """0 boilerplate, 1 reasoning: those of all answer tokens, one row after another, int8."""
    found: Differences | None = None

    def attach(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Nothing is added; a task without answers that are text is refused."""
        if not context.task.generates:
            raise MethodRefused(
                f"{self.name} tells tokens of written answers apart, and {context.task.name} has none",
                "Use it with the task causal",
            )

    def settle(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Find the roles of all training rows, and say how far they can be trusted."""
        import torch

        rule = self.options.roles
        said: Iterable[str] = ()
        if rule == "shad" and not context.rehearsal:
            self.found = find_differences(context, self.settings)
        if self.found is not None:
            self.rows, roles = self.found.rows, self.found.roles
            said = said_of(self.found)
        elif rule == "shad":
            self.rows = rows_of(context.sweep())
            roles = np.arange(sum(len(row.answer) for row in self.rows)) % 2  # a step costs the same with any
            said = [not_found(self.rows, self.settings)] if context.rehearsal else ()
        else:
            self.rows = rows_of(context.sweep())
            roles = np.concatenate(roles_by_rule(context.tokenizer, self.rows, rule, self.options.patterns))
            said = said_of_rule(rule, roles, shared_by(self.rows))
        for text in said:
            context.note(text)
        sizes = np.array([len(row.answer) for row in self.rows])
        numbers = np.array([row.number for row in self.rows])
        self.starts = np.full(numbers.max() + 1, -1, dtype=np.int64)
        self.starts[numbers] = np.cumsum(sizes) - sizes
        self.roles = torch.from_numpy(roles.astype(np.int8)).to(context.device)

    @property
    def settings(self) -> Settings:
        """What decides roles found by shuffling."""
        o = self.options
        effort = Effort(
            o.shad_steps,
            o.shad_rate,
            o.shad_rank,
            o.shad_batch or AT_MOST,
            o.upper,
            o.shad_targets,
            whole=o.shad_batch is not None,
        )
        return Settings(o.shad_rows, effort, o.shad_seed, o.control, o.shad_by)

    def roles_in(self, batch: Batch) -> torch.Tensor:
        """The roles of a batch of training rows, [batch, token]: -1 where nothing is supervised."""
        import torch

        taught = batch["labels"] != UNSUPERVISED
        starts = torch.from_numpy(self.starts[batch["row"].cpu().numpy()]).to(taught.device)
        places = starts[:, None] + taught.cumsum(1) - 1
        known = self.roles[places.clamp(min=0)]
        return torch.where(taught, known, torch.full_like(known, -1))

    @property
    def weighs(self) -> bool:
        """Whether tokens are weighed by their roles."""
        return False

    def weights_of(self, losses: torch.Tensor, roles: torch.Tensor) -> torch.Tensor:
        """Weights of tokens by their losses and roles, both [batch, token]; asked for where tokens are weighed."""
        raise NotImplementedError

    def artifacts(self, model: torch.nn.Module, context: MethodContext) -> Iterator[Artifact]:
        """Roles, differences and weights of some rows: held out where there are any, and trained on."""
        if self.options.roles == "shad" and self.found is None:
            return  # stopped before they were found
        shown = [*self._held_out(context), *self._trained_on(MOST_WEIGHED if self.weighs else MOST_SHOWN)]
        weights = self._weights(model, context, shown) if self.weighs else {}
        yield token_roles(context.tokenizer, shown, weights, self.options.roles)

    def _trained_on(self, most: int) -> Iterator[Shown]:
        roles = self.roles.cpu().numpy()
        for row in self.rows[:most]:
            here = slice(int(self.starts[row.number]), int(self.starts[row.number]) + len(row.answer))
            yield Shown(row, roles[here], None if self.found is None else self.found.ld[here], held_out=False)

    def _held_out(self, context: MethodContext) -> Iterator[Shown]:
        """Rows that nothing was trained on, with roles found in the same way."""
        table = context.held_out
        if table is None or not len(table):
            return
        if self.found is not None:
            rows, ld = differences_of(context, self.settings, self.found, table)
            ends = np.cumsum([len(row.answer) for row in rows]).tolist()
            for row, end in zip(rows, ends, strict=True):
                here = ld[end - len(row.answer) : end]
                yield Shown(row, (here > 0).astype(np.int8), here, held_out=True)
            return
        rows = rows_of(context.sweep(table))
        by_rule = roles_by_rule(context.tokenizer, [*self.rows, *rows], self.options.roles, self.options.patterns)
        for row, roles in zip(rows, by_rule[len(self.rows) :], strict=True):
            yield Shown(row, roles, None, held_out=True)

    def _weights(self, model: torch.nn.Module, context: MethodContext, shown: list[Shown]) -> dict[int, Any]:
        """What each answer token of shown rows counts, with the losses of the trained model; 1 is what it would count
        if all tokens counted alike."""
        import torch

        from peft_lab.methods._calibration import mode
        from peft_lab.methods._shad_rows import padded

        found = {}
        with torch.no_grad(), mode(model, training=False):
            for at, one in enumerate(shown):
                batch = padded([one.row], 0, context.device)
                losses, supervised = context.task.losses(context.task.outputs(model, batch), batch)
                taught = supervised[0] > 0
                roles = torch.full_like(losses, -1)
                roles[0, taught] = torch.from_numpy(one.roles).to(roles)
                these = self.weights_of(losses, roles)[0, taught]
                found[at] = (these * len(these) / these.sum()).float().cpu().numpy()
        return found
