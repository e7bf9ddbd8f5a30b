"""A user's own class by name: ``my_package.module:MyLifter``."""

import importlib
import sys
from pathlib import Path
from typing import Any

from torch import nn


def is_path(name: str) -> bool:
    """Whether it names a class in a module rather than an entry of a table."""
    return ":" in name


def named_attribute(name: str) -> Any:
    """What a module has by a name, imported; modules of the working directory count, too.

    Only names that a user has typed may come here: importing runs code.

    Args:
        name: ``package.module:Class``.

    Returns:
        None if the module has nothing by that name.

    Raises:
        ValueError: if there is no such module, or it cannot be imported.
    """
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), attribute)):
        raise ValueError(f"expected package.module:Class, got {name!r:.80}")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the module is the user's: anything may happen
        raise ValueError(f"{module_name} cannot be imported: {error}") from None
    finally:
        sys.path.remove(here)
    return getattr(module, attribute, None)


def named_module_class(name: str) -> type[nn.Module]:
    """The class, as of :func:`named_attribute`.

    Only a class of networks is given out, so that a name from a file can call nothing else.

    Raises:
        ValueError: if there is no such module or class, it cannot be imported, or it is none of
            networks.
    """
    found = named_attribute(name)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        module_name, _, attribute = name.partition(":")
        got = "nothing" if found is None else type(found).__name__
        raise ValueError(f"expected {attribute} in {module_name} to be an nn.Module, got {got}")
    return found
