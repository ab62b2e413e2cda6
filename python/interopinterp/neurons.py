"""Neurons of MLPs, and what can be said of them.

    result = streams.run(model, streams.text("corpus.txt"), {"blocks.*.mlp.hook_post": [streams.top(10), streams.sample(5000)]})
    neurons.card(model, result, layer=3, neuron=1234)                 # where it is largest, which tokens it speaks for; HTML in notebooks
    neurons.ablation_effects(model, tokens, metrics.loss(), layer=3, neurons=[1234, 5], source=patching.means(result))
    neurons.sparse_probes(result["blocks.3.mlp.hook_post"], labels)   # how few of them tell a feature of the input
"""

from __future__ import annotations

import dataclasses
import html
from typing import Any, Iterable, Sequence

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp import patching
from interopinterp._patching import tables
from interopinterp._streams.result import Example, Probe
from interopinterp.errors import InvalidArgumentError
from interopinterp.sae import SAE

_SELECTIONS = {"mean_difference": pb.PROBE_SELECTION_MEAN_DIFFERENCE, "l1": pb.PROBE_SELECTION_L1}


@dataclasses.dataclass(frozen=True)
class LogitWeights:
    """The tokens a neuron speaks for and against: W_out[neuron] through the unembedding, per unit of activation.

    promoted, suppressed  (token id, text or None, weight), strongest first
    """

    layer: int
    neuron: int
    promoted: list[tuple[int, str | None, float]]
    suppressed: list[tuple[int, str | None, float]]

    def records(self) -> list[dict[str, Any]]:
        """A dict per token."""
        return [{"layer": self.layer, "neuron": self.neuron, "token": token, "text": text, "weight": weight}
                for token, text, weight in [*self.promoted, *reversed(self.suppressed)]]

    def to_dataframe(self) -> Any:
        """The records as a pandas table."""
        return tables.frame(self.records())


def logit_weights(model: Any, layer: int, neurons: Any, k: int = 10) -> list[LogitWeights]:
    """The k tokens that each neuron speaks for most, and those it speaks against most."""
    given = np.atleast_1d(arrays.to_numpy(neurons)).tolist()
    response = model.transport.call(pb.WeighNeuronsRequest(model=model._name, layer=layer, neurons=given, k=k))
    return [LogitWeights(layer, one.neuron, _tokens(model, one.promoted), _tokens(model, one.suppressed)) for one in response.neurons]


def ablation_effects(
    model: Any, tokens: Any, metric: Any, layer: Any, neurons: Any = None, source: Any = "zero", **options: Any
) -> patching.SweepResult:
    """A metric with each neuron alone ablated at all positions: a sweep [layer, neuron], whose baseline is the model as it is.

    layer    one or several
    neurons  those to ablate; all if None
    source   "zero"; patching.means(stream) or patching.samples(stream), of a stream over the layers' mlp.hook_post; or another source of
             patching.sweep
    """
    only = {"layer": np.atleast_1d(layer).tolist()}
    if neurons is not None:
        only["neuron"] = np.atleast_1d(arrays.to_numpy(neurons)).tolist()
    return patching.sweep(model, tokens, ("mlp_post", ("layer", "neuron")), source, metric, only=only, **options)


@dataclasses.dataclass(frozen=True)
class SparseProbe:
    """A logistic regression that sees a few neurons, and how well it tells the label on tokens it was fitted on, and on others.

    train, test  {"accuracy", "precision", "recall", "f1"}; NaN where one has no meaning
    """

    neurons: list[int]
    weights: list[float]
    bias: float
    train: dict[str, float]
    test: dict[str, float]


def sparse_probes(
    activations: Any, labels: Any, sizes: Sequence[int] = (1, 2, 4, 8, 16), selection: str = "mean_difference", C: float = 1.0,
    test_share: float = 0.3, groups: Any = None, seed: int = 0, client: Any = None,
) -> list[SparseProbe]:
    """How few neurons tell a feature of the input (Gurnee et al. 2023): a probe on the k best, for each k.

    activations  [tokens, neurons]; or a stream's probe with streams.sample(count), whose rows then stay on one side of the split
    labels       whether each token has the feature
    selection    "mean_difference" (in standard deviations) or "l1" (the order in which an L1 penalty lets them in)
    C            inverse of the L2 penalty, as scikit-learn's
    groups       what stays on one side of the split between tokens to fit on and to judge by; None: each token by itself
    That a probe succeeds does not say that the model uses what it found: ablate its neurons.
    """
    if isinstance(activations, Probe):
        groups = activations["sample_rows"] if groups is None else groups
        client = client or activations._model
        activations = activations["samples"]
    values = arrays.to_numpy(activations)
    transport = (client or _local()).transport
    request = pb.FitSparseProbesRequest(
        labels=[bool(label) for label in arrays.to_numpy(labels)], sizes=list(sizes),
        selection=tables.choice(_SELECTIONS, "selection", selection), c=C, test_share=test_share, groups=[] if groups is None else arrays.to_numpy(groups).tolist(), seed=seed)
    with transport.loans() as loans:
        request.activations.CopyFrom(loans.tensor(np.ascontiguousarray(values.reshape(len(values), -1))))
        response = transport.call(request)
    return [SparseProbe(list(one.neurons), list(one.weights), one.bias, _quality(one.train), _quality(one.test)) for one in response.probes]


@dataclasses.dataclass(frozen=True)
class Card:
    """What is known of a neuron or feature; the last thing in a notebook's cell, it is shown.

    examples  where it is largest
    weights   the tokens it speaks for and against, or None
    """

    title: str
    examples: list[Example]
    weights: LogitWeights | None = None

    def _repr_html_(self) -> str:
        lines = "".join(f"<tr><td>{one.value:.3f}</td><td style='text-align:left;white-space:pre'>{_marked(one)}</td></tr>"
                        for one in self.examples)
        said = "" if self.weights is None else "".join(
            f"<p>{what}: {' '.join(f'<code title={weight:.4f}>{html.escape(repr(text or token))}</code>' for token, text, weight in tokens)}"
            "</p>" for what, tokens in (("for", self.weights.promoted), ("against", self.weights.suppressed)))
        return f"<h4>{html.escape(self.title)}</h4>{said}<table>{lines}</table>"

    def __str__(self) -> str:
        return "\n".join([self.title, *(f"{one.value:8.3f}  {one}" for one in self.examples)])


def card(model: Any, result: Any, layer: int | None = None, neuron: int = 0, point: Any = None, k: int = 10) -> Card:
    """A neuron's card, from a stream that has gathered streams.top(...) there.

    layer   of the neuron, at mlp.hook_post
    point   instead: the name of a probe, or the SAE whose feature is meant; no logit weights are given then
    """
    if (layer is None) == (point is None):
        raise InvalidArgumentError("NEURON_PLACE", "Give the neuron's layer, or the point of a probe.")
    if layer is not None:
        name = f"blocks.{layer}.mlp.hook_post"
        return Card(f"{name} {neuron}", result[name].examples(neuron), logit_weights(model, layer, neuron, k)[0])
    name = f"{model.resolve(point.hook_name)}.hook_sae_acts_post" if isinstance(point, SAE) else point
    return Card(f"{name} {neuron}", result[name].examples(neuron))


def _marked(example: Example) -> str:
    shown = example.texts or [f" {token}" for token in example.tokens]
    return "".join(f"<mark>{html.escape(part)}</mark>" if i == example.at else html.escape(part) for i, part in enumerate(shown))


def _tokens(model: Any, found: Iterable[pb.TokenWeight]) -> list[tuple[int, str | None, float]]:
    found = list(found)
    texts = model.to_str_tokens(np.array([one.token for one in found])) if model.tokenizer is not None else [None] * len(found)
    return [(one.token, text, one.weight) for one, text in zip(found, texts)]


def _quality(told: pb.ProbeQuality) -> dict[str, float]:
    return {"accuracy": told.accuracy, "precision": told.precision, "recall": told.recall, "f1": told.f1}


def _local() -> Any:
    from interopinterp.client import local

    return local()
