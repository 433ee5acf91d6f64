"""Values without an annotation: only what JSON gives back as it was."""

from typing import Final, cast

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_MAX_DEPTH: Final = 100


class _Plain:
    """Metadata that makes pydantic refuse Python objects that JSON would change."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.json_or_python_schema(
            json_schema=core_schema.any_schema(),
            python_schema=core_schema.no_info_plain_validator_function(check_plain),
        )

    def __repr__(self) -> str:
        return "PLAIN"


PLAIN: Final = _Plain()
"""For ``Annotated[Any, PLAIN]``."""


def check_plain(value: object) -> object:
    """Return the value if JSON can carry it.

    Raises:
        PydanticCustomError: Some part of it would come back as something else.
    """
    if not _is_plain(value, _MAX_DEPTH):
        raise PydanticCustomError(
            "not_plain",
            "without a type annotation only None, bool, int, float, str, list, tuple and dict "
            "with str keys can be passed: annotate the parameter",
        )
    return value


def _is_plain(value: object, depth: int) -> bool:
    if value is None or isinstance(value, str | bool | int | float):
        return True
    if depth == 0:
        return False
    if isinstance(value, list | tuple):
        items = cast("list[object]", value)
        return all(_is_plain(item, depth - 1) for item in items)
    if isinstance(value, dict):
        pairs = cast("dict[object, object]", value).items()
        return all(isinstance(name, str) and _is_plain(item, depth - 1) for name, item in pairs)
    return False
