"""What a training would change and take, before it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from peft_lab.bench import Bench
from peft_lab.operations import About, operation

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.recipe import Recipe
    from peft_lab.training.plan import Plan


class Planning(Bench):
    """Operations that look ahead."""

    @operation("plan lora --rank 8", "plan full --batch-size 64", "plan bitfit --data helpdesk --model minilm")
    def plan(
        self,
        methods: Annotated[str, About("one method, or several joined by +", completes="methods")],
        model: Annotated[str | None, About("base model; remembered", completes="models")] = None,
        data: Annotated[str | None, About("data; remembered", completes="datasets")] = None,
        **settings: Any,
    ) -> Plan:
        """Say what a training would change and take, from a few steps that are thrown away."""
        plan = planned(self.recipe(methods, model=model, data=data, **settings), self.host)
        self.plans[plan.recipe.fingerprint] = plan.forecast.plain()
        return plan


def planned(recipe: Recipe, host: Host) -> Plan:
    """The plan of a recipe, with its picture.

    Raises:
        PeftLabError: what training would raise before its first step.
    """
    from peft_lab.present.picture import render
    from peft_lab.training.plan import make_plan

    plan = make_plan(recipe, host)
    view = host.find("views", "trainable-map")()
    return replace(plan, picture=render(view.draw([plan])))
