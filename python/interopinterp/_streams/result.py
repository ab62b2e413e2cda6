"""What a stream has gathered."""

from __future__ import annotations

import dataclasses
import html
from typing import Any, Iterator

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp._patching import tables
from interopinterp.errors import FailedPreconditionError, unknown


class StreamInterrupted(KeyboardInterrupt):
    """Ctrl-C in a stream. It is a KeyboardInterrupt; result has what had been gathered by then."""

    def __init__(self, result: "StreamResult"):
        super().__init__(f"The stream was interrupted after {result.tokens:,} tokens.")
        self.result = result


@dataclasses.dataclass(frozen=True)
class Example:
    """A place in the stream at which a neuron or feature is large.

    value     the activation
    row, pos  where: the row of the stream, the position in it
    tokens    the token ids around it
    at        which of tokens it is
    texts     their texts, where the model has a tokenizer
    """

    value: float
    row: int
    pos: int
    tokens: list[int]
    at: int
    texts: list[str] | None = None

    def __str__(self) -> str:
        shown = self.texts or [str(token) for token in self.tokens]
        return "".join(f"«{part}»" if i == self.at else part for i, part in enumerate(shown))


@dataclasses.dataclass(frozen=True)
class Probe:
    """What was gathered at one point: probe["mean"], probe["top_values"], ...

    name     the hook point, or the name it was given
    unit     the shape of one token's activation
    tensors  by name
    """

    name: str
    unit: tuple[int, ...]
    tensors: dict[str, Any]
    _model: Any = None

    def __getitem__(self, name: str) -> Any:
        if name not in self.tensors:
            raise unknown("UNKNOWN_STATISTIC", f"statistic of {self.name}:", name, self.tensors)
        return self.tensors[name]

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def examples(self, *unit: int, bottom: bool = False) -> list[Example]:
        """The examples of one neuron, feature or (head, dimension), best first; top() or bottom() must have been gathered."""
        kind = "bottom" if bottom else "top"
        values, rows, positions, tokens = (
            arrays.to_numpy(self[f"{kind}_{part}"])[unit] for part in ("values", "rows", "positions", "tokens"))
        if values.ndim != 1:
            raise FailedPreconditionError("WRONG_SHAPE", f"The unit of {self.name} is {list(self.unit)}; examples takes as many indices.")
        before, found = int(arrays.to_numpy(self[f"{kind}_before"])[0]), []
        for value, row, pos, window in zip(values, rows, positions, tokens):
            if row < 0:
                break
            kept = [int(token) for token in window if token >= 0]
            at = before - int((window[:before] < 0).sum())
            texts = self._model.to_str_tokens(np.array(kept)) if self._model is not None and self._model.tokenizer is not None else None
            found.append(Example(float(value), int(row), int(pos), kept, at, texts))
        return found

    def records(self) -> list[dict[str, Any]]:
        """A dict per number of the unit, with all that is one number for each of them."""
        flat = {name: arrays.to_numpy(value).reshape(-1) for name, value in self.tensors.items()
                if tuple(value.shape) == self.unit and not name.startswith(("sample", "position_", "histogram_edges", "top_", "bottom_"))}
        axes = ("unit",) if len(self.unit) == 1 else ("head", "dim")
        places = [dict(zip(axes, map(int, at))) for at in np.ndindex(*self.unit)]
        return [{"point": self.name, **place, **{name: values[i].item() for name, values in flat.items()}}
                for i, place in enumerate(places)]

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        return tables.frame(self.records())

    def __repr__(self) -> str:
        return f"Probe({self.name}, {list(self.unit)}: {', '.join(self.tensors)})"


@dataclasses.dataclass(frozen=True)
class StreamResult:
    """result["blocks.0.mlp.hook_post"]["mean"]; the names of probes are those of hook points.

    probes       by name
    rows         rows that were run
    tokens       tokens that were counted
    is_complete  whether the stream has come to its end
    """

    probes: dict[str, Probe]
    rows: int
    tokens: int
    is_complete: bool

    def __getitem__(self, name: str) -> Probe:
        if name not in self.probes:
            raise unknown("UNKNOWN_PROBE", "probe", name, self.probes)
        return self.probes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.probes)

    def __len__(self) -> int:
        return len(self.probes)

    def all(self, name: str) -> dict[str, Any]:
        """One statistic of every probe that has it, by hook point: result.all("mean")."""
        return {point: probe[name] for point, probe in self.probes.items() if name in probe}

    def to_dataframe(self) -> Any:
        """All probes' records as one pandas table."""
        return tables.frame([record for probe in self.probes.values() for record in probe.records()])

    def _repr_html_(self) -> str:
        lines = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{' × '.join(map(str, probe.unit))}</td><td>{', '.join(probe.tensors)}</td></tr>"
            for name, probe in self.probes.items())
        return f"<table><caption>{html.escape(repr(self))}</caption><tr><th>point</th><th>unit</th><th>gathered</th></tr>{lines}</table>"

    def __repr__(self) -> str:
        end = "" if self.is_complete else ", not at its end"
        return f"StreamResult({len(self.probes)} probes, {self.rows:,} rows, {self.tokens:,} tokens{end})"
