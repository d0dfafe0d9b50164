"""What a training would change and take, before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from peft_lab.bench import Bench
from peft_lab.operations import About, operation

if TYPE_CHECKING:
    from peft_lab.host import Host
    from peft_lab.recipe import Recipe
    from peft_lab.training.plan import Plan, Sketch


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


def planned(recipe: Recipe, host: Host, tell: Callable[[Sketch], None] | None = None) -> Plan:
    """The plan of a recipe, with its picture.

    Args:
        tell: is given what would train, with the picture, as soon as that is known.

    Raises:
        PeftLabError: what training would raise before its first step.
    """
    from peft_lab.present.picture import Picture, render
    from peft_lab.training.plan import make_plan

    drawn: list[Picture] = []

    def picture(plan: Sketch) -> Picture:
        view = host.find("views", "trainable-map")()
        return render(view.draw([plan]))

    def told(sketch: Sketch) -> None:
        assert tell is not None
        drawn.append(picture(sketch))
        tell(replace(sketch, picture=drawn[0]))

    plan = make_plan(recipe, host, told if tell is not None else None)
    return replace(plan, picture=drawn[0] if drawn else picture(plan))
