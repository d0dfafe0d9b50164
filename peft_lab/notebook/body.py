"""Reads the body of a cell: a YAML mapping of what could also stand on the line. Errors name the line of the cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from peft_lab.errors import BadOption
from peft_lab.notebook.names import look_up, plain_value, take
from peft_lab.notebook.values import convert, convert_one, takes
from peft_lab.operations import Argument

FORM = "Write one 'name: value' on a line, with a blank after the colon"
NULL, LIST, MAPPING = (f"tag:yaml.org,2002:{kind}" for kind in ("null", "seq", "map"))


@dataclass(frozen=True)
class Entry:
    """One key of the body with its value, not yet read, and the line of the cell it stands on."""

    key: str
    line: int
    node: yaml.Node

    @property
    def place(self) -> str:
        """How errors begin."""
        return f"line {self.line} of the cell"

    def nested(self) -> Iterator[Entry]:
        """The entries inside, of ``lora: {rank: 8}``, with dotted keys."""
        assert isinstance(self.node, yaml.MappingNode)
        for entry in _entries(self.node):
            yield Entry(f"{self.key}.{entry.key}", entry.line, entry.node)

    @property
    def is_mapping(self) -> bool:
        """Whether there are entries inside."""
        return isinstance(self.node, yaml.MappingNode) and not reference(self.node)

    def plain_text(self, names: Mapping[str, Any]) -> str | None:
        """The value where it is one word, typed or that of a name of the notebook."""
        value = names.get(reference(self.node), self.node.value)
        return value if isinstance(value, str) else None

    def value(self, argument: Argument, names: Mapping[str, Any]) -> Any:
        """The value as the argument's type: YAML takes ``3e-4`` for text and ``on`` for true, whatever was meant."""
        node, name = self.node, f"{self.place}: {self.key}"
        if given := reference(node):
            return take(argument, look_up(names, given, name), given, name)
        if isinstance(node, yaml.ScalarNode):
            return None if node.tag == NULL else convert(argument, node.value, name)
        if isinstance(node, yaml.SequenceNode) and (argument.many or argument.rest):
            if all(isinstance(item, yaml.ScalarNode) or reference(item) for item in node.value):
                return [self._item(argument, item, names, name) for item in node.value]
        elif argument.type not in (str, int, float, bool):
            return self._constructed(names)
        kind = "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
        raise BadOption(f"{name} takes {takes(argument)}, not {kind}")

    def _item(self, argument: Argument, node: yaml.Node, names: Mapping[str, Any], name: str) -> Any:
        if given := reference(node):
            return take(replace(argument, many=False), look_up(names, given, name), given, name)
        return convert_one(argument, node.value, name)

    def items(self) -> Iterator[tuple[str, str]]:
        """For each item of a list, its key (``methods.1``) and the line of the cell it stands on; for entries alike."""
        if isinstance(self.node, yaml.SequenceNode):
            for number, item in enumerate(self.node.value):
                yield f"{self.key}.{number}", f"line {_line(item.start_mark)} of the cell"
        elif self.is_mapping:
            yield from ((entry.key, entry.place) for entry in self.nested())

    def _constructed(self, names: Mapping[str, Any]) -> Any:
        """The value with all that is inside; ``{{ name }}`` in it is the value of that name."""
        loader = yaml.SafeLoader("")

        def value(node: yaml.Node) -> Any:
            if given := reference(node):
                return plain_value(look_up(names, given, f"line {_line(node.start_mark)} of the cell: {self.key}"))
            if isinstance(node, yaml.SequenceNode) and node.tag == LIST:
                return [value(item) for item in node.value]
            if isinstance(node, yaml.MappingNode) and node.tag == MAPPING:
                return {value(key): value(inner) for key, inner in node.value}
            return loader.construct_document(node)

        try:
            return value(self.node)
        except yaml.YAMLError as error:
            raise BadOption(f"{self.place}: {self.key}: {getattr(error, 'problem', None) or error}", FORM) from None
        except TypeError:  # a list for a key
            raise BadOption(f"{self.place}: {self.key} has no plain name before a colon", FORM) from None
        finally:
            loader.dispose()


def read(body: str) -> list[Entry]:
    """The entries of a body, in order. A body of blank lines and comments has none.

    Raises:
        BadOption: it is no YAML mapping, or a key stands there twice.
    """
    try:
        node = yaml.compose(body, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {_line(mark)} of the cell" if mark else "the cell"
        raise BadOption(f"{line} is no YAML: {error.problem or error.context}", FORM) from None
    except yaml.YAMLError as error:
        raise BadOption(f"the cell is no YAML: {' '.join(str(error).split())}", FORM) from None
    if node is None:
        return []
    if not isinstance(node, yaml.MappingNode):
        raise BadOption(f"line {_line(node.start_mark)} of the cell has no 'name: value'", FORM)
    return list(_entries(node))


def _entries(node: yaml.MappingNode) -> Iterator[Entry]:
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = _line(key.start_mark)
        if not isinstance(key, yaml.ScalarNode):
            raise BadOption(f"line {line} of the cell has no plain name before the colon", FORM)
        if key.value in seen:
            raise BadOption(
                f"{key.value} stands on line {seen[key.value]} of the cell and again on line {line}", "Keep one"
            )
        seen[key.value] = line
        yield Entry(key.value, line, value)


def reference(node: yaml.Node) -> str:
    """The name in ``{{ name }}``, which YAML takes for a mapping whose only key is a mapping; empty for all else."""
    inner = _only_key(node)
    name = _only_key(inner) if inner is not None else None
    return str(name.value) if isinstance(name, yaml.ScalarNode) and not name.style else ""


def _only_key(node: yaml.Node) -> yaml.Node | None:
    """The key of ``{key}``: a mapping in braces with one key and no value."""
    if not isinstance(node, yaml.MappingNode) or not node.flow_style or len(node.value) != 1:
        return None
    key, value = node.value[0]
    return key if isinstance(value, yaml.ScalarNode) and value.tag == NULL and not value.value else None


def _line(mark: Any) -> int:
    return int(mark.line) + 2  # counted from 1, and the magic itself is line 1
