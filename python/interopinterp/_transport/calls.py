"""gRPC calls that Ctrl-C cannot break.

KeyboardInterrupt may come up anywhere in the main thread's Python code, also where grpc has just taken a lock, which then stays taken and
with it the whole channel. So grpc's objects live on other threads, and whoever calls waits at a queue, which is C code.
"""

from __future__ import annotations

import queue
import threading
from typing import Any, Callable, Iterator

import grpc

from interopinterp._transport import status
from interopinterp.errors import FailedPreconditionError

_END = object()


class Calls:
    """Starts calls of one connection, and cancels them.

    door  the server's address, for messages
    """

    def __init__(self, door: str):
        self._door = door
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        # Calls that nobody waits for: one that nobody holds is cancelled.
        self._held: set[Any] = set()
        self._closed = False
        threading.Thread(target=self._work, name="interopinterp-grpc", daemon=True).start()

    def unary(self, method: Any, request: Any, **options: Any) -> Any:
        """The response of a call. Raises InterpError; on Ctrl-C the call is cancelled, and the server stops at its next step."""
        outcome: queue.SimpleQueue = queue.SimpleQueue()
        call: list[Any] = []

        def start() -> None:
            call.append(method.future(request, **options))
            call[0].add_done_callback(lambda done: outcome.put(self._outcome(done)))

        self._put(start, outcome)
        return self._wait(outcome, call)

    def stream(self, method: Any, request: Any, **options: Any) -> Iterator[Any]:
        """The messages of a call, as they come. Leaving the iterator cancels it."""
        messages: queue.SimpleQueue = queue.SimpleQueue()
        call: list[Any] = []

        def pump() -> None:
            try:
                call.append(method(request, **options))
                for message in call[0]:
                    messages.put(message)
                messages.put(_END)
            except grpc.RpcError:
                messages.put(status.error(call[0], self._door))
            except Exception as error:
                messages.put(error)

        self._put(lambda: threading.Thread(target=pump, daemon=True).start(), messages)
        try:
            while (message := self._wait(messages, call)) is not _END:
                yield message
        finally:
            self._cancel(call)

    def send(self, method: Any, request: Any, **options: Any) -> None:
        """A call whose outcome is of no interest."""
        def start() -> None:
            call = method.future(request, **options)
            self._held.add(call)
            call.add_done_callback(self._held.discard)

        self._put(start, None)

    def keep(self, method: Any, request: Any, **options: Any) -> threading.Event:
        """Opens a stream that is only to stay open; what comes back is set when it has ended."""
        ended = threading.Event()

        def start() -> None:
            call = method(request, **options)
            self._held.add(call)
            if not call.add_callback(ended.set):
                ended.set()

        self._put(start, None)
        return ended

    def close(self, channel: Any) -> None:
        """Ends the thread, and the channel with it; calls in progress are cancelled, later ones refused."""
        self._closed = True
        self._jobs.put(channel.close)
        self._jobs.put(None)

    def _put(self, start: Callable[[], None], outcome: queue.SimpleQueue | None) -> None:
        def job() -> None:
            try:
                start()
            except Exception as error:
                if outcome is not None:
                    # All that grpc raises here is that the channel is closed.
                    outcome.put(self._refusal() if isinstance(error, ValueError) else error)

        self._jobs.put(job)
        # Behind the last job none is run. Asked after putting it there, so that no call slips between.
        if self._closed and outcome is not None:
            outcome.put(self._refusal())

    def _refusal(self) -> FailedPreconditionError:
        return FailedPreconditionError("CLIENT_CLOSED", f"This client of {self._door} was closed: connect again, and load there.")

    def _wait(self, outcome: queue.SimpleQueue, call: list[Any]) -> Any:
        try:
            found = outcome.get()
        except BaseException:
            self._cancel(call)
            raise
        if isinstance(found, Exception):
            raise found
        return found

    def _cancel(self, call: list[Any]) -> None:
        # The job that starts the call stands before this one.
        self._jobs.put(lambda: [one.cancel() for one in call])

    def _outcome(self, call: Any) -> Any:
        try:
            return call.result()
        except grpc.RpcError:
            return status.error(call, self._door)
        except grpc.FutureCancelledError:
            return status.cancelled(self._door)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:  # a channel that is closed already
                pass
