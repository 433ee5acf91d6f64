"""What was wrong with a value, in words for the person who passed it."""

from typing import Final

from pydantic import PydanticUserError, ValidationError

_SHOWN_PROBLEMS: Final = 10
_SHOWN_VALUE: Final = 80
_SELF_EVIDENT: Final = frozenset({"missing", "extra_forbidden", "json_invalid"})


def describe(error: Exception) -> str:
    """Return what an exception of validation or serialisation says, without its boilerplate.

    Of a `ValidationError`: one problem per line, each with its path and the value.
    """
    if not isinstance(error, ValidationError):
        return _other(error)
    problems = error.errors(include_url=False, include_context=False)
    lines = [
        f"{path(problem['loc'])}{problem['msg']}"
        if problem["type"] in _SELF_EVIDENT
        else f"{path(problem['loc'])}{problem['msg']}, not {_value(problem['input'])}"
        for problem in problems[:_SHOWN_PROBLEMS]
    ]
    if len(problems) > _SHOWN_PROBLEMS:
        lines.append(f"… and {len(problems) - _SHOWN_PROBLEMS} more")
    return lines[0] if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)


def path(loc: tuple[int | str, ...]) -> str:
    """Return where a problem is, such as ``orders[3].price: ``; empty for the value itself."""
    if not loc:
        return ""
    text = str(loc[0])
    for part in loc[1:]:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"{text}: "


def _value(value: object) -> str:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a broken repr must not hide the problem
        text = f"<repr() raised {type(error).__name__}>"
    if len(text) > _SHOWN_VALUE:
        text = f"{text[:_SHOWN_VALUE]}…"
    return f"{text} ({type(value).__name__})"


def _other(error: Exception) -> str:
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - a broken message must not hide the problem
        text = f"<str() raised {type(broken).__name__}>"
    if isinstance(error, PydanticUserError):
        # The rest is advice for models and links.
        return text.partition("\n")[0].partition(" Set `arbitrary_types_allowed")[0].rstrip(".")
    text = text.removeprefix("Pydantic serializer warnings:").strip()
    if "utf-8" in text:
        text = (
            f"{text} (bytes in a pydantic model need ser_json_bytes='base64' and "
            "val_json_bytes='base64' in its configuration)"
        )
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
