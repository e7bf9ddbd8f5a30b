"""Where time goes, measured from outside: functions are wrapped while a clock is on, and only then.

So that no network and no predictor knows of being timed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Clock:
    """Time by phase; a phase within another one is taken off it, unless that one is ``whole``.

    Args:
        now: seconds, as of :func:`time.perf_counter`; on a GPU it has to wait for it first.

    Example:
        >>> ticks = iter(range(10))
        >>> clock = Clock(lambda: float(next(ticks)))
        >>> inner = clock.wrapped("inner", lambda: None)
        >>> outer = clock.wrapped("outer", lambda: inner())
        >>> outer()
        >>> clock.seconds
        {'inner': 1.0, 'outer': 2.0}
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        self.seconds: dict[str, float] = {}
        self._open: list[float] = []
        """Of each phase that is under way, the time of the phases within it."""
        self._closed = False

    def wrapped(self, phase: str, function: Callable[..., Any], whole: bool = False) -> Callable[..., Any]:
        """The function, with its time added to the phase's."""

        def timed(*args: Any, **kw: Any) -> Any:
            if self._closed:
                return function(*args, **kw)
            start, self._closed = self.now(), whole
            self._open.append(0.0)
            try:
                return function(*args, **kw)
            finally:
                self._closed = False
                took, within = self.now() - start, self._open.pop()
                self.seconds[phase] = self.seconds.get(phase, 0.0) + took - within
                if self._open:
                    self._open[-1] += took

        return timed

    @contextmanager
    def on(self, *places: tuple[str, Any, str]) -> Iterator[None]:
        """Wraps functions for as long as the block lasts.

        Args:
            places: phase; the module, class or object that the function is looked up in; its name
                there. The phase ends in ``!`` if it is whole.
        """
        before = [(owner, name, vars(owner).get(name)) for _, owner, name in places]
        try:
            for phase, owner, name in places:
                function, whole = getattr(owner, name), phase.endswith("!")
                setattr(owner, name, self.wrapped(phase.rstrip("!"), function, whole))
            yield
        finally:
            for owner, name, value in before:
                if value is None:
                    delattr(owner, name)  # it was the class's
                else:
                    setattr(owner, name, value)
