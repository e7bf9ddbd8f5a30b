"""Arguments of a network's constructor, as typed: ``'{"dropout": 0}'``."""

import json
from typing import Any


def constructor_arguments(text: str | None) -> dict[str, Any]:
    """Keyword arguments from a JSON object; none if there is no text.

    Raises:
        ValueError: if the text is no JSON object.
    """
    if text is None:
        return {}
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise ValueError(f'expected a JSON object such as {{"dropout": 0}}, got {text!r:.80}')
    return arguments
