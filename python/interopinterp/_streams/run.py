"""Runs a stream in the engine, which holds it, and asks how far it has come."""

from __future__ import annotations

import dataclasses
import os
import weakref
from typing import Any, Callable, Mapping

from interopinterp import _pb as pb
from interopinterp import _selection as selection
from interopinterp._plan import flags
from interopinterp._progress import Bar
from interopinterp._streams import sources, statistics
from interopinterp._streams.result import Probe, StreamInterrupted, StreamResult
from interopinterp.errors import InvalidArgumentError
from interopinterp.ops import Op
from interopinterp.sae import SAE


@dataclasses.dataclass(frozen=True, eq=False)
class At:
    """Part of what is at a hook point; streams.at makes it."""

    point: Any
    name: str = ""
    where: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def at(point: Any, name: str = "", heads: Any = None, last: Any = None) -> At:
    """A key of probes: some heads, or some entries of the last axis (neurons), under a name of one's own.

    point  a hook point, a pattern, or an SAE
    """
    return At(point, name, {part: value for part, value in (("heads", heads), ("last", last)) if value is not None})


class Stream:
    """A stream that the engine holds; run() runs one to its end, this is for those who want to look on the way.

        stream = Stream(model, streams.text("corpus.txt"), {"blocks.*.mlp.hook_post": streams.mean()})
        while stream.advance(seconds=5):
            print(stream.tokens, stream.result()["blocks.0.mlp.hook_post"]["mean"][:3])

    rows, tokens  how far it has come: rows that were run, tokens that were counted
    is_done       whether that is its end
    """

    def __init__(
        self, model: Any, source: Any, probes: Mapping[Any, Any], *, skip_first: int = 0, ignored_tokens: Any = (),
        max_tokens: int | None = None, batch_tokens: int | None = None, interventions: Any = (), checkpoint: str | os.PathLike | None = None,
        checkpoint_every: int | None = None, memory_limit: int | None = None,
    ):
        model.check_weights()
        self.model, self.transport = model, model.transport
        plan = pb.StreamPlan(
            source=sources.read(model, source), flags=flags(model.cfg), skip_first=skip_first, ignored_tokens=list(ignored_tokens),
            max_tokens=max_tokens, batch_tokens=batch_tokens, checkpoint="" if checkpoint is None else os.fspath(checkpoint),
            checkpoint_every=checkpoint_every, memory_limit_bytes=memory_limit)
        for where, gathered in probes.items():
            self._probe(plan, where, gathered)
        # The engine keeps copies of what is lent.
        with self.transport.loans() as loans:
            for point, op in interventions:
                if not isinstance(op, Op):
                    raise InvalidArgumentError("NOT_AN_OP", f"The intervention at {point!r} is a {type(op).__name__}; a stream takes "
                                               "interopinterp.ops.")
                op.write(plan.interventions.add(point=point), _Scope(model, loans))
            response = self.transport.call(pb.StartStreamRequest(model=model._name, plan=plan))
        self._name = response.name
        self._finalizer = weakref.finalize(self, self.transport.later, pb.CloseStreamRequest(name=response.name))
        self._finalizer.atexit = False
        self._become(response.progress)

    def advance(self, seconds: float = 1.0) -> bool:
        """Runs it for about so long; False once it has come to its end. Interrupted, it loses nothing and can go on."""
        if not self.is_done:
            self._become(self.transport.call(pb.AdvanceStreamRequest(name=self._name, seconds=seconds)).progress)
        return not self.is_done

    def result(self) -> StreamResult:
        """What has been gathered so far."""
        response = self.transport.call(pb.GetStreamResultRequest(name=self._name))
        self._become(response.progress)
        probes = {}
        for probe in response.probes:
            tensors = {tensor.name: self.transport.take(tensor.tensor) for tensor in probe.tensors}
            probes[probe.name] = Probe(probe.name, tuple(probe.unit), tensors, self.model)
        return StreamResult(probes, self.rows, self.tokens, self.is_done)

    def save(self) -> None:
        """Writes its checkpoint now."""
        self.transport.call(pb.SaveStreamRequest(name=self._name))

    def close(self) -> None:
        """Lets go of what it has gathered."""
        if self._finalizer.detach():
            self.transport.call(pb.CloseStreamRequest(name=self._name))

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Stream({self.rows:,} rows, {self.tokens:,} tokens{', done' if self.is_done else ''})"

    def _become(self, told: pb.StreamProgress) -> None:
        self.rows, self.tokens, self.is_done = told.rows, told.tokens, told.is_done
        self._total_rows = told.total_rows if told.HasField("total_rows") else None
        self._total_tokens = told.total_tokens if told.HasField("total_tokens") else None

    def _probe(self, plan: pb.StreamPlan, where: Any, gathered: Any) -> None:
        asked = where if isinstance(where, At) else At(where)
        point = asked.point
        message = plan.probes.add(statistics=statistics.several(gathered))
        if isinstance(point, SAE):
            message.point = self.model.resolve(point.hook_name)
            message.codes.CopyFrom(pb.CodesTransform(dictionary=point.dictionary_name(self.model), part=pb.DICTIONARY_PART_CODES))
        else:
            message.point = point
        message.name = asked.name
        if asked.where:
            message.where.CopyFrom(selection.selector(**asked.where))


class _Scope:
    """Lends an op what it needs; a stream has no other runs to take values from."""

    def __init__(self, model: Any, loans: Any):
        self.model, self.loans = model, loans

    def dictionary(self, sae: Any) -> str:
        return sae.dictionary_name(self.model)

    def source(self, given: Any) -> str:
        raise InvalidArgumentError("STREAM_INTERVENTION", "Interventions of a stream take nothing from other runs: give ops.set(value).")


def run(
    model: Any, source: Any, probes: Mapping[Any, Any], *, progress: bool = True, on_partial: Callable[[StreamResult], Any] | None = None,
    every: float = 1.0, **options: Any,
) -> StreamResult:
    """Gathers statistics of activations over a stream of tokens, many hook points in one pass.

    source      streams.text(...), streams.shards(...), streams.parquet(...); or texts or token ids
    probes      {hook point or pattern: a statistic or several}. A key may be an SAE, whose features are gathered, or streams.at(point, ...)
                for some heads or neurons
    on_partial  called with the result so far every so many seconds
    skip_first       so many tokens at the start of each row are run but not counted: 1 leaves out a BOS
    ignored_tokens   token ids that are run but not counted
    max_tokens       it ends with the row in which so many tokens have been counted
    batch_tokens     positions in one pass; 2048 if None
    interventions    [(hook point, op)] of interopinterp.ops, done in every batch
    checkpoint       a file to go on from where it is there, and to write to, every checkpoint_every tokens and at the end; what goes on
                     gives to the last bit what would have come without the break
    memory_limit     bytes that statistics may hold
    Ctrl-C raises StreamInterrupted, a KeyboardInterrupt with the result so far.
    """
    with Stream(model, source, probes, **options) as stream, Bar("stream", progress) as bar:
        try:
            while stream.advance(every):
                if stream._total_tokens:
                    bar(stream.tokens, stream._total_tokens)
                elif stream._total_rows:
                    bar(stream.rows, stream._total_rows)
                if on_partial is not None:
                    on_partial(stream.result())
        except KeyboardInterrupt as stop:
            if stream.tokens == 0 and stream.result().tokens == 0:
                raise
            if options.get("checkpoint") is not None:
                stream.save()
            raise StreamInterrupted(stream.result()) from stop
        return stream.result()
