"""Let a trained language model write, beside what its base model writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from peft_lab.bench import Bench, RunName
from peft_lab.errors import BadOption
from peft_lab.operations import About, operation
from peft_lab.texts import tables as texts

if TYPE_CHECKING:
    from peft_lab.listings.written import SideBySide


class Generating(Bench):
    """Operations that let models write."""

    @operation(
        'generate run-1 "What is the weather in Kyoto?"',
        'generate run-1 "What is the weather in Kyoto?" --tools tools.json --max-new-tokens 64',
    )
    def generate(
        self,
        run: RunName,
        *prompts: Annotated[str, About("what to answer")],
        tools: Annotated[str | None, About("a JSON file with tools that may be called", completes="files")] = None,
        system: Annotated[str | None, About("what the model is told before")] = None,
        max_new_tokens: Annotated[int, About("longest answer in tokens")] = 128,
        temperature: Annotated[float, About("0: the likeliest token each time; above it, tokens are drawn")] = 0.0,
        seed: Annotated[int, About("of the draws")] = 0,
    ) -> SideBySide:
        """Let a run and its base model answer, side by side."""
        from peft_lab.listings.written import written_by

        chosen = self.writing_run(run, 'Ask it: predict {} "..."')
        if not prompts:
            raise BadOption("no prompt to answer", f'Put it in quotes: generate {chosen.id} "What is the weather?"')
        if max_new_tokens < 1 or temperature < 0:
            raise BadOption("an answer needs a token at least, and a temperature of 0 or more", "--max-new-tokens 64")
        schemas = _tools(tools) if tools else []
        how: dict[str, Any] = {"most": max_new_tokens, "temperature": temperature, "seed": seed}
        base = texts.BASE_MODEL.format(model=chosen.recipe.model)
        write = {
            base: lambda rows: self.serve_base(chosen).written(rows, **how),
            chosen.id: lambda rows: self.serve(chosen).written(rows, **how),
        }
        return written_by(chosen, prompts, write, tools=schemas, system=system, **how)


def _tools(name: str) -> list[dict[str, Any]]:
    """Tool schemas in a file: a list of JSON objects, or one.

    Raises:
        BadOption: it cannot be read, or holds something else.
    """
    hint = 'It should hold a list like [{"name": "get_weather", "parameters": {...}}]'
    try:
        value = json.loads(Path(name).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise BadOption(f"{name} cannot be read: {error.strerror or error}", hint) from error
    except (ValueError, RecursionError) as error:
        raise BadOption(f"{name} is no JSON: {error}", hint) from error
    tools = value if isinstance(value, list) else [value]
    if not tools or not all(isinstance(tool, dict) for tool in tools):
        raise BadOption(f"{name} holds no tools", hint)
    return tools
