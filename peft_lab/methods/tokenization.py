"""Adaptive tokenization: the words and phrases that tell the labels apart become units that learn (arXiv:2508.08635).

The abstract of the paper speaks of units that fit the domain and of no added parameters; both cannot be had at once,
so that there are two modes (ours). ``view`` leaves the vocabulary as it is and trains the embeddings of the tokens that
stand in such constructs. ``merge`` makes each phrase one token, with a row of its own that starts as the mean of the
rows of its pieces (as in fast vocabulary transfer), and trains those rows; they are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from peft_lab.methods._construct_artifact import constructs_artifact
from peft_lab.methods._construct_labels import must_have_labels
from peft_lab.methods._constructs import Constructs, find_constructs, tell_apart
from peft_lab.methods._merged_tokens import Phrase, add_phrases, labelled_texts, mean_tokens, that_become_one
from pluggy_specs import Artifact, Method, MethodContext, MethodRefused, Options

if TYPE_CHECKING:
    import torch


class TokenizationOptions(Options):
    """What becomes a unit."""

    mode: Literal["view", "merge"] = Field(
        "view", description="train the rows of tokens that exist, or make each phrase a new token with a row"
    )
    constructs: int = Field(32, ge=1, description="words, phrases and pairs of words kept for each label")
    false_discovery: float = Field(0.05, gt=0, lt=1, description="share of these that may be chance")
    reach: int = Field(5, ge=2, description="largest distance of the two words of a pair, in tokens (view)")


class Tokenization(Method):
    """Trains embeddings of what tells the labels apart, and nothing else; join it to methods that train the rest."""

    name = "tokenization"
    summary = "embeddings of the words and phrases that tell the labels apart"
    paper = "arXiv:2508.08635"
    training = {"learning_rate": 1e-3}

    Options = TokenizationOptions

    constructs: Constructs | None = None
    rows: Any = None
    """Which rows of the embedding train, [row]."""

    def adapt_tokenizer(self, tokenizer: Any, context: MethodContext) -> Any:
        """Make phrases tokens: those found now, or those that the run had."""
        must_have_labels(context)
        if self.options.mode == "view":
            return tokenizer
        if context.rows is not None and not self.memory:
            self.memory = {"phrases": self._phrases(tokenizer, context)}
            told = add_phrases(tokenizer, self._remembered())
            before, after = (mean_tokens(one, context.rows) for one in (tokenizer, told))
            context.note(
                f"{len(self.memory['phrases'])} phrases became tokens; a training text has {after:.1f} tokens instead "
                f"of {before:.1f}"
            )
            return told
        return add_phrases(tokenizer, self._remembered())

    def attach(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Let each new row begin as the mean of the rows of its pieces."""
        import torch

        if self.options.mode == "view":
            return
        weight = _embedding(model)
        rows = []
        for phrase in self._remembered():
            row = context.tokenizer.convert_tokens_to_ids(phrase.text)
            rows.append(row)
            with torch.no_grad():
                weight[row] = weight[torch.tensor(phrase.pieces, device=weight.device)].mean(0)
        self.rows = torch.tensor(rows, dtype=torch.long, device=weight.device)

    def prepare(self, model: torch.nn.Module, context: MethodContext) -> None:
        """Find the tokens whose rows train, where no new ones were made."""
        import torch

        if self.options.mode == "merge":
            return
        self.constructs = find_constructs(
            model,
            context,
            most=self.options.constructs,
            false_discovery=self.options.false_discovery,
            reach=self.options.reach,
        )
        tokens = sorted({token for one in self.constructs.found for token in one.ids})
        self.rows = torch.tensor(tokens, device=_embedding(model).device)

    def masks(self, model: torch.nn.Module) -> Mapping[str, torch.Tensor]:
        """All entries of these rows, unless the embedding trains whole anyway."""
        import torch

        weight = _embedding(model)
        if weight.requires_grad:
            return {}
        name = next(name for name, parameter in model.named_parameters() if parameter is weight)
        width = weight.shape[1]
        return {name: (self.rows[:, None] * width + torch.arange(width, device=weight.device)).flatten()}

    def artifacts(self, model: torch.nn.Module, context: MethodContext) -> Iterator[Artifact]:
        """The constructs."""
        if self.constructs is not None:
            yield constructs_artifact(self.constructs)

    def _phrases(self, tokenizer: Any, context: MethodContext) -> list[dict[str, Any]]:
        """Phrases that tell the labels apart, with the tokens they were.

        Raises:
            MethodRefused: there are none of more than one token.
        """
        texts, labels, words = labelled_texts(tokenizer, context.rows)
        options = self.options
        self.constructs = tell_apart(
            texts,
            labels,
            words,
            most=options.constructs,
            false_discovery=options.false_discovery,
            reach=options.reach,
        )
        found = {one.ids: words.text(one.ids) for one in self.constructs.found if one.kind > 1}
        whole = that_become_one(tokenizer, [Phrase(text, ids) for ids, text in found.items()])
        if not whole:
            raise MethodRefused(
                "no phrase of several tokens tells the labels of these texts apart", "Say --mode view, or more texts"
            )
        return [{"text": phrase.text, "pieces": list(phrase.pieces)} for phrase in whole]

    def _remembered(self) -> list[Phrase]:
        return [Phrase(one["text"], tuple(one["pieces"])) for one in self.memory.get("phrases", ())]


def _embedding(model: torch.nn.Module) -> torch.nn.Parameter:
    embeddings: Any = model.get_input_embeddings()  # type: ignore[operator]
    weight: torch.nn.Parameter = embeddings.weight
    return weight
