"""What a model reads before an answer, and what it is to write: by a tokenizer's chat template, or a plain one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from peft_lab.conversation import Conversation, Message
from peft_lab.errors import DataProblem

MARK = "Peft-lab-asks-where-answers-stand"
"""An answer that no template writes by itself."""
TRIED: Mapping[str, Any] = {"type": "function", "function": {"name": MARK, "parameters": {"type": "object"}}}
SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}
"""How the plain template names them: ``User: ...``, a blank line between messages, ``Assistant:`` before the answer."""
ABOUT_TOOLS = "You can call these tools. To call one, answer with its name and arguments as JSON.\n"


class Template:
    """Makes texts of conversations, as one tokenizer does.

    Args:
        tokenizer: with or without a chat template.

    Raises:
        DataProblem: the tokenizer has no token that could end an answer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.plain = not getattr(tokenizer, "chat_template", None)
        self.special = sorted(set(tokenizer.all_special_tokens), key=len, reverse=True)
        self.begin = self._begin() if self.plain else ""
        self.lead, self.end = self._around_answers()
        self.writes_tools = not self.plain and self._writes(TRIED)
        self.writes_system = self.plain or self._takes("system")
        self.notes: dict[str, None] = {}
        """What a person should know about how the texts were made."""

    def prompt(self, conversation: Conversation) -> str:
        """All that stands before the answer.

        Raises:
            DataProblem: the template refuses the conversation.
        """
        messages, tools = self._fitted(conversation)
        if self.plain:
            return self.begin + "".join(f"{SPEAKERS[m.role]}: {m.content}\n\n" for m in messages) + "Assistant:"
        return self._render(messages, tools, generation=True)

    def answer(self, conversation: Conversation, text: str) -> str:
        """What the template writes for the assistant's turn, up to the end of it."""
        if not self.plain:
            messages, tools = self._fitted(conversation)
            before = self._render(messages, tools, generation=True)
            whole = self._render([*messages, Message("assistant", text)], tools, generation=False)
            if whole.startswith(before) and self.end in whole[len(before) :]:
                return whole[len(before) : whole.rindex(self.end) + len(self.end)]
        return f"{self.lead}{text}{self.end}"

    @property
    def ends(self) -> list[int]:
        """Ids of the tokens at which writing stops."""
        last = self.tokenizer(self.end, add_special_tokens=False)["input_ids"][-1:]
        return list(dict.fromkeys([*last, *([i] if (i := self.tokenizer.eos_token_id) is not None else [])]))

    def _fitted(self, conversation: Conversation) -> tuple[list[Message], list[Mapping[str, Any]]]:
        """Messages and tools as the template can take them."""
        messages, tools = list(conversation.messages), [_schema(tool) for tool in conversation.tools]
        if tools and not self.writes_tools:
            what = "no chat template" if self.plain else "a chat template that leaves tools out"
            self.notes[f"The tokenizer has {what}: tools are written into the system message as JSON"] = None
            said = ABOUT_TOOLS + "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
            if messages[0].role == "system":
                said = f"{messages.pop(0).content}\n\n{said}"
            messages.insert(0, Message("system", said))
            tools = []
        if messages[0].role == "system" and not self.writes_system and len(messages) > 1:
            self.notes["The chat template knows no system message: it stands before the first other message"] = None
            said = messages.pop(0).content
            messages[0] = Message(messages[0].role, f"{said}\n\n{messages[0].content}")
        return messages, tools

    def _render(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, generation: bool) -> str:
        try:
            return self._written(messages, tools, generation=generation)
        except _template_errors() as error:
            # Some templates know the user and the assistant only.
            as_user = [m if m.role != "tool" else Message("user", m.content) for m in messages]
            if as_user != list(messages):
                self.notes["The chat template knows no tool messages: they are the user's"] = None
                return self._render(as_user, tools, generation=generation)
            said = " ".join(str(error).split()) or type(error).__name__
            raise DataProblem(
                f"the chat template refuses the conversation that ends in {messages[-1].content[:60]!r}: {said}",
                "Leave it out, or choose a model with another template",
            ) from error

    def _written(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, generation: bool) -> str:
        text: str = self.tokenizer.apply_chat_template(
            [{"role": m.role, "content": m.content} for m in messages],
            tools=list(tools) or None,
            add_generation_prompt=generation,
            tokenize=False,
        )
        return text

    def _around_answers(self) -> tuple[str, str]:
        """What the template writes between the prompt and an answer, and behind it up to the end of the turn."""
        stop = self.tokenizer.eos_token or self.tokenizer.sep_token
        if self.plain:
            if not stop:
                raise DataProblem(
                    "this tokenizer has no token that ends a text, so that no answer would ever end",
                    "Choose a model that was made to write",
                )
            return " ", stop
        asked = [Message("user", "?")]
        before = self._render(asked, (), generation=True)
        whole = self._render([*asked, Message("assistant", MARK)], (), generation=False)
        lead, _, rest = whole.removeprefix(before).partition(MARK)
        if not whole.startswith(before):
            lead = ""
        last = [(rest.index(token), token) for token in self.special if token in rest]
        if not last:
            return lead, stop or rest.rstrip()
        at, token = min(last, key=lambda found: (found[0], -len(found[1])))
        return lead, rest[: at + len(token)]

    def _writes(self, tool: Mapping[str, Any]) -> bool:
        try:
            return MARK in self._written([Message("user", "?")], (tool,), generation=True)
        except _template_errors():
            return False

    def _takes(self, role: str) -> bool:
        try:
            return MARK in self._written([Message(role, MARK), Message("user", "?")], (), generation=True)
        except _template_errors():
            return False

    def _begin(self) -> str:
        """Special tokens that the tokenizer puts before every text, written out."""
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        whole = self.tokenizer("a")["input_ids"]
        known = set(self.tokenizer.all_special_ids)
        first = next((i for i, token in enumerate(whole) if token in bare), 0)
        return "".join(self.tokenizer.convert_ids_to_tokens([t for t in whole[:first] if t in known]))


def _schema(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool as chat templates expect it: ``{"type": "function", "function": {...}}``."""
    return tool if isinstance(tool.get("function"), Mapping) else {"type": "function", "function": tool}


def _template_errors() -> tuple[type[Exception], ...]:
    from jinja2 import TemplateError

    return (TemplateError, TypeError, ValueError, KeyError)
