"""PURE: encoded stretches of attributes that come together again and again.

Method, scheme, host and status have few values each; the bytes of all of them are one look-up by all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

_P = ParamSpec("_P")
_MOST = 4096


class Blocks:
    """Remembers what functions of hashable arguments gave, and forgets all when it is too much.

    Clients choose some of the values: nothing here may grow for them. A plain dictionary that is emptied costs
    less a look-up than one that keeps an order of use.
    """

    def remember(self, make: Callable[_P, bytes]) -> Callable[_P, bytes]:
        """Wrap a function that is called with positional arguments alone."""
        known: dict[tuple[object, ...], bytes] = {}

        def block(*args: _P.args, **_: _P.kwargs) -> bytes:
            found = known.get(args)
            if found is None:
                found = make(*args)  # type: ignore[call-arg] # keyword arguments are never given
                if len(known) >= _MOST:
                    known.clear()
                known[args] = found
            return found

        return block
