"""What a type's schema says about its JSON."""

from collections.abc import Iterator
from typing import Final, TypeAlias, cast

from pydantic_core import CoreSchema

_Node: TypeAlias = dict[str, object]

_OWN_CONFIGURATION: Final = frozenset({"model", "dataclass", "typed-dict"})

_FAITHFUL: Final = frozenset(
    {
        "any",
        "bool",
        "bytes",
        "date",
        "datetime",
        "decimal",
        "dict",
        "enum",
        "float",
        "frozenset",
        "int",
        "list",
        "literal",
        "none",
        "nullable",
        "set",
        "str",
        "time",
        "timedelta",
        "tuple",
        "typed-dict",
        "typed-dict-field",
        "union",
        "uuid",
    }
)
"""Kinds of schema without anybody's code in them."""


def is_faithful(schema: CoreSchema) -> bool:
    """Whether a validated value that could be written can surely be read again.

    Models, dataclasses, validators and serializers of users can do anything.
    """
    return all(
        kind in _FAITHFUL and "serialization" not in node for kind, node, _ in _nodes(schema)
    )


def hides_floats(schema: CoreSchema) -> bool:
    """Whether floats may be in a type whose own configuration writes infinity as null."""
    return any(inside and kind in {"any", "float"} for kind, _, inside in _nodes(schema))


def _nodes(schema: object, *, inside: bool = False) -> Iterator[tuple[str, _Node, bool]]:
    """Yield each schema with its kind, and whether it is in a type with a configuration."""
    if isinstance(schema, dict):
        node = cast("_Node", schema)
        kind = node.get("type")
        if isinstance(kind, str):
            inside = inside or kind in _OWN_CONFIGURATION
            yield kind, node, inside
        for name, part in node.items():
            if name not in {"config", "metadata"}:
                yield from _nodes(part, inside=inside)
    elif isinstance(schema, list | tuple):
        for part in cast("list[object]", schema):
            yield from _nodes(part, inside=inside)
