"""What a type's schema says about its JSON."""

from collections.abc import Iterator
from typing import Final, TypeAlias, cast

from pydantic_core import CoreSchema

_Node: TypeAlias = dict[str, object]

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
    return any(lossy and kind in {"any", "float"} for kind, _, lossy in _nodes(schema))


def _nodes(schema: object, *, lossy: bool = False) -> Iterator[tuple[str, _Node, bool]]:
    """Yield each schema with its kind, and whether infinity is written as null in it."""
    if isinstance(schema, dict):
        node = cast("_Node", schema)
        kind = node.get("type")
        config = node.get("config")
        if isinstance(config, dict):
            lossy = cast("_Node", config).get("ser_json_inf_nan", "null") == "null"
        if isinstance(kind, str):
            yield kind, node, lossy
        for name, part in node.items():
            if name not in {"config", "metadata"}:
                yield from _nodes(part, lossy=lossy)
    elif isinstance(schema, list | tuple):
        for part in cast("list[object]", schema):
            yield from _nodes(part, lossy=lossy)
