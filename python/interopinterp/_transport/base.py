"""What every way to the engine offers."""

from __future__ import annotations

import abc
import collections
import math
from typing import Any, Callable

from interopinterp import _pb as pb
from interopinterp._progress import Bar

Progress = Callable[[int, int], None]
# The plan's row of the first, and a token per row from there on.
TokensFound = Callable[[int, list], None]
MetricFunction = Callable[[Any], float]
PortionFound = Callable[[pb.SweepPortion], None]


class Loans:
    """Tensors handed to the engine for one call, taken back when the block ends."""

    def __init__(self, transport: "Transport"):
        self._transport = transport
        self._names: list[str] = []
        self._callbacks: list[int] = []

    def tensor(self, value: Any) -> pb.Tensor:
        """An array, or a tensor that is on the engine's side already, as a request holds it."""
        tensor, name = self._transport.lend(value)
        if name:
            self._names.append(name)
        return tensor

    def callback(self, function: Callable[[bytes], bytes | None]) -> int:
        """A number under which the engine calls a function during the call."""
        number = self._transport.callback(function)
        self._callbacks.append(number)
        return number

    def __enter__(self) -> "Loans":
        return self

    def __exit__(self, *_: Any) -> None:
        self._transport.take_back(self._names, self._callbacks)
        self._names, self._callbacks = [], []


class Transport(abc.ABC):
    """A way to the engine.

    door           which: "hostfxr", "pythonnet", or a server's address
    has_callbacks  whether the engine can call Python functions in the middle of a run
    """

    door: str
    has_callbacks: bool

    def __init__(self):
        self._later: collections.deque[Any] = collections.deque()

    def later(self, request: Any) -> None:
        """Runs a method whose answer nobody waits for, before the next call: safe in destructors, on any thread."""
        self._later.append(request)

    def call(self, request: Any) -> Any:
        """Runs the method that a request belongs to. Raises InterpError, or KeyboardInterrupt within one step of Ctrl-C."""
        while self._later:
            self.send(self._later.popleft())
        return self.run(request)

    @abc.abstractmethod
    def run(self, request: Any) -> Any:
        """The call itself."""

    def follow_with_bar(self, request: Any, what: str) -> Any:
        """Runs the method of a request that may take long, with a progress bar."""
        while self._later:
            self.send(self._later.popleft())
        with Bar(what) as bar:
            return self.follow(request, bar)

    @abc.abstractmethod
    def follow(self, request: Any, progress: Progress) -> Any:
        """Runs the method of a request; progress is told (parts done, parts in all)."""

    @abc.abstractmethod
    def send(self, request: Any) -> None:
        """A call whose errors are of no interest: something is let go that may be gone already."""

    @abc.abstractmethod
    def run_plan(self, request: pb.RunPlanRequest, progress: Progress | None = None,
                 tokens: TokensFound | None = None) -> pb.RunPlanResponse:
        """Runs a plan; progress is told (steps done, steps in all), tokens what each decode step of a generation adds."""

    @abc.abstractmethod
    def run_sweep(self, request: pb.RunSweepRequest, progress: Progress | None = None, metric: MetricFunction | None = None,
                  portion: PortionFound | None = None) -> pb.RunSweepResponse:
        """Runs a sweep; metric is called with the logits of each cell where the sweep declares none, portion is told what has become known."""

    @abc.abstractmethod
    def lend(self, value: Any) -> tuple[pb.Tensor, str]:
        """A value for a request, and the name of what has to be taken back afterwards ("": nothing)."""

    @abc.abstractmethod
    def take_back(self, names: list[str], callbacks: list[int]) -> None:
        """Ends loans. Never raises."""

    @abc.abstractmethod
    def take(self, tensor: pb.Tensor) -> Any:
        """A tensor of a response, which is the caller's from here on."""

    @abc.abstractmethod
    def callback(self, function: Callable[[bytes], bytes | None]) -> int:
        """A number for a Python function, where has_callbacks; raises otherwise."""

    def close(self) -> None:
        """Ends the connection."""

    def loans(self) -> Loans:
        """Tensors and functions lent for one call."""
        return Loans(self)


def answer(metric: MetricFunction, logits: Any, is_probe: bool) -> float:
    """What a metric says of logits. A probe holds NaN where the metric may not look: to fail on it is an answer too."""
    try:
        return metric(logits)
    except Exception:
        if not is_probe:
            raise
        return math.nan
