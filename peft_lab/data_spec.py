"""Which data a run uses, as plain JSON: the part of a recipe that names it. Importing this costs nothing heavy."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DataSpec(BaseModel):
    """A data set, its columns and how its splits are made. The test split is never used to choose anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(min_length=1, description="a registered name (helpdesk), a file or folder, or a hub id")
    test: str | None = Field(None, description="a test file, where the source has no test split")
    validation: str | None = Field(None, description="a validation file of one's own, instead of one carved from train")
    text: str | None = Field(None, description="column with the text; guessed when not given")
    text_pair: str | None = Field(None, description="column with the second text of a pair")
    label: str | None = Field(None, description="column with the label; guessed when not given")
    task: str | None = Field(None, description="what is predicted; guessed from the columns when not given")
    metric: str | None = Field(None, description="the score that chooses the best state; the task's when not given")
    validation_share: float = Field(0.1, gt=0, lt=1, description="share of train carved out for validation, by label")
    validation_most: int = Field(500, ge=1, description="most rows carved out for validation")
    validation_limit: int | None = Field(
        None, ge=1, description="use at most this many rows of a validation split of one's own, drawn by label"
    )
    test_share: float | None = Field(
        None, gt=0, lt=1, description="share of train carved out for test, by label, where there is no test split"
    )
    limit: int | None = Field(None, ge=1, description="use at most this many training rows, drawn by label")
    split_seed: int = Field(0, ge=0, lt=2**32, description="seed of the carving and of the limit, not of the training")
    subset_seed: int | None = Field(
        None,
        ge=0,
        lt=2**32,
        description="seed of the order in which the limit takes rows: a smaller one then takes some of a larger one's",
    )

    @property
    def unsaid(self) -> frozenset[str]:
        """Names of what came later to data and is not used here: recipes without it are what they were."""
        return frozenset(
            name for name in ("validation_limit", "test_share", "subset_seed") if getattr(self, name) is None
        )
