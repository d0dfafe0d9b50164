"""Plan, train, go on."""

from __future__ import annotations

from typing import Annotated, Any

from peft_lab.bench import Bench
from peft_lab.operations import About, operation
from peft_lab.run import Run


class Training(Bench):
    """Operations that train."""

    @operation(
        "train lora --rank 8",
        "train bitfit --data helpdesk --model minilm --epochs 3",
        "train lora --learning-rate 1e-3 --seed 1",
    )
    def train(
        self,
        methods: Annotated[str, About("one method, or several joined by +", completes="methods")],
        model: Annotated[str | None, About("base model; remembered", completes="models")] = None,
        data: Annotated[str | None, About("data; remembered", completes="datasets")] = None,
        **settings: Any,
    ) -> Run:
        """Fine-tune the base model with one or more PEFT methods."""
        return self.train_recipe(self.recipe(methods, model=model, data=data, **settings))
