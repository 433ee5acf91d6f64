"""Google-style docstrings, taken apart for a page of Markdown."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_SECTION: Final = re.compile(r"^(Args|Attributes|Returns|Raises):$", re.MULTILINE)
_ITEM: Final = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
_MODULES: Final = re.compile(r"\b(?:\w+\.)+(?=\w)")
_LITERAL: Final = re.compile(r"``([^`]+)``")


@dataclass(frozen=True, slots=True, kw_only=True)
class Docstring:
    """A docstring in parts.

    Attributes:
        prose: What stands before the sections, as paragraphs.
        items: Section -> name -> meaning.
        plain: Section -> its text, for sections that name nothing.
    """

    prose: str
    items: Mapping[str, Mapping[str, str]]
    plain: Mapping[str, str]


def read(thing: object) -> Docstring:
    """Take the docstring of a class or function apart.

    Raises:
        ValueError: There is none.
    """
    text = inspect.getdoc(thing)
    if not text:
        msg = f"{thing!r} has no docstring"
        raise ValueError(msg)
    prose, *sections = _SECTION.split(text)
    bodies = dict(zip(sections[::2], sections[1::2], strict=True))
    return Docstring(
        prose=markdown(prose.strip()),
        items={title: _items(body) for title, body in bodies.items()},
        plain={title: _line(body) for title, body in bodies.items()},
    )


def _items(body: str) -> dict[str, str]:
    return {name: _line(meaning) for name, meaning in _ITEM.findall(body)}


def _line(text: str) -> str:
    return markdown(" ".join(text.split()))


def markdown(text: str) -> str:
    """Return a docstring's text with its literals as Markdown writes them."""
    return _LITERAL.sub(r"`\1`", text)


def shown_type(annotation: Any) -> str:
    """Return a type as one would write it, without the modules."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    if getattr(annotation, "__args__", None):
        text = str(annotation)
    return _MODULES.sub("", text).replace("+ItemT_co", "Item")


def signature(name: str, function: Any) -> str:
    """Return how a method is called, one argument a line if there are several."""
    found = inspect.signature(function)
    arguments: list[str] = []
    for parameter in found.parameters.values():
        if parameter.name == "self":
            continue
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        arguments.append(f"{parameter.name}: {shown_type(parameter.annotation)}{default}")
    call = "async " if inspect.iscoroutinefunction(function) else ""
    if any(one.kind is one.KEYWORD_ONLY for one in found.parameters.values()):
        arguments.insert(0, "*")
    inside = ", ".join(arguments)
    if len(inside) > 70:
        inside = "\n    " + ",\n    ".join(arguments) + ",\n"
    answer = found.return_annotation
    returns = "None" if answer is None else shown_type(answer)
    return f"{call}{name}({inside}) -> {returns}"
