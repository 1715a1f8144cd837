"""What is read of a post before it is taken: its head, and its body piece by piece."""

from __future__ import annotations

from starlette.types import Receive, Scope


class Refused(Exception):  # noqa: N818 -- says what is the case
    """A post that is answered without being taken.

    Attributes:
        reason: A word from a closed set, for the count.
    """

    def __init__(self, status: int, reason: str, text: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.text = text
        self.headers = headers


class Gone(Exception):  # noqa: N818 -- says what is the case
    """The client left before its body was whole."""


class Head:
    """The headers of a post that matter here.

    Args:
        scope: ASGI's; its headers are lower-case names and values, in the order sent.
    """

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        client = scope.get("client")
        self.peer: str = client[0] if client else ""
        self.secret: bytes | None = None
        self.authorization: bytes | None = None
        self.encoding = b"identity"
        self.length: int | None = None
        """None for a chunked body."""
        self.is_from_browser = False
        """A page on any site can make a browser on this machine post to loopback; Kong sends no such name."""
        self.waits_for_continue = False
        for name, value in scope["headers"]:
            match name:
                case b"x-hoptrail-secret":
                    self.secret = value
                case b"authorization":
                    self.authorization = value
                case b"content-encoding":
                    self.encoding = value.lower()
                case b"content-length":
                    self.length = int(value)
                case b"origin" | b"sec-fetch-site":
                    self.is_from_browser = True
                case b"expect":
                    self.waits_for_continue = True


class Body:
    """The body of a post, as it comes."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.has_ended = False

    async def next(self) -> bytes:
        """Give the next piece; not to be called once it has ended.

        Raises:
            Gone: The client left.
        """
        message = await self._receive()
        if message["type"] != "http.request":
            raise Gone
        self.has_ended = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece

    async def whole(self, first: bytes, most_bytes: int) -> bytes:
        """Give all of it; holds at most one piece more than `most_bytes`.

        Raises:
            Gone: The client left.
            Refused: It is larger than that.
        """
        pieces, size = [first], len(first)
        while size <= most_bytes:
            if self.has_ended:
                return first if len(pieces) == 1 else b"".join(pieces)
            pieces.append(await self.next())
            size += len(pieces[-1])
        raise Refused(413, "too_large", f"larger than {most_bytes} bytes")

    async def pass_over(self, most_bytes: int) -> None:
        """Read on and forget, so that a client that only listens once it has sent hears the answer."""
        size = 0
        while not self.has_ended and size <= most_bytes:
            size += len(await self.next())
