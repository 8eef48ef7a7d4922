"""uvicorn's HTTP protocol, which closes connections of clients that neither ask nor take their answer.

uvicorn itself limits the time between two requests, but not that to the first, nor that to the end of a
head, nor that in which an answer is taken: the answer would stay in memory as long as the client likes.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_MOST = 1 << 28
"""Bytes of all answers that are being taken; of more the one that has taken longest is dropped."""
_LEAST = 1 << 20
"""Bytes of an answer that a client is to take in a period, where so many are left."""


def patient_protocol(seconds: float) -> type[H11Protocol]:
    """The protocol.

    Args:
        seconds: From the connection, or the first byte of a further request, to the end of its head; and the
            period in which a client takes 1 MB of an answer, or the rest.
    """
    slow: dict[Any, None] = {}  # in the order in which they began to wait for their clients

    class Protocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None
        _taking: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._stop()
            self._stop_taking()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._watch_taking()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop_taking()

        def _watch(self) -> None:
            if self.conn.their_state is not h11.IDLE:  # the head is here
                self._stop()
            elif self._timer is None:
                self._timer = self.loop.call_later(seconds, self.transport.close)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _watch_taking(self) -> None:
            slow[self] = None
            if sum(other.transport.get_write_buffer_size() for other in slow) > _MOST:
                next(iter(slow)).transport.abort()
            left = self.transport.get_write_buffer_size()
            self._taking = self.loop.call_later(seconds, self._check_taking, left)

        def _check_taking(self, left: int) -> None:
            if self.transport.get_write_buffer_size() > max(0, left - _LEAST):
                self.transport.abort()
            else:
                self._watch_taking()

        def _stop_taking(self) -> None:
            if self._taking is not None:
                self._taking.cancel()
                self._taking = None
                del slow[self]

    return Protocol
