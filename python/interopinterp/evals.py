"""Behaviours in numbers: induction, and indirect objects (Wang et al. 2022). Names are those of TransformerLens 3.9's evals."""

from __future__ import annotations

import random
from typing import Any, Iterator, Mapping, Sequence

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import metrics
from interopinterp._model.inputs import Input
from interopinterp._plan import number
from interopinterp._progress import Bar
from interopinterp.errors import FailedPreconditionError, InvalidArgumentError

__all__ = ["IOIDataset", "induction_loss", "ioi_eval"]
_FIRST, _LAST = 100, 20000


def induction_loss(
    model: Any, tokenizer: Any = None, batch_size: int = 4, subseq_len: int = 384, prepend_bos: bool | None = None, device: Any = None,
    *, seed: int = 0,
) -> Any:
    """The mean loss in nats on the second half of random tokens that occur twice: what a model that copies gets down to 0.

    subseq_len   tokens of a half
    prepend_bos  whether a BOS takes the place of the first token; None: as the model's config has it
    device       taken, as TransformerLens's is, and without effect: it runs where the model is
    """
    prepend_bos = model.cfg.default_prepend_bos if prepend_bos is None else prepend_bos
    vocabulary = model.cfg.d_vocab
    low, high = (_FIRST, min(_LAST, vocabulary)) if vocabulary > 2 * _FIRST else (0, vocabulary)
    half = np.random.default_rng(seed).integers(low, high, (batch_size, subseq_len))
    tokens = np.concatenate([half, half], 1)
    if prepend_bos:
        tokenizer = tokenizer or model.tokenizer
        if tokenizer is None or tokenizer.bos_token_id is None:
            raise FailedPreconditionError("NO_BOS", "The model has no tokenizer with a BOS token: induction_loss(prepend_bos=False).")
        tokens[:, 0] = tokenizer.bos_token_id
    losses = arrays.to_numpy(model(tokens, return_type="loss", loss_per_token=True))
    return number(losses[:, subseq_len + 1:].mean())


class IOIDataset:
    """Prompts whose last word is the indirect object: "... Mary and John ... John handed a drink to Mary".

    tokenizer    a model's
    templates    texts with [A] (the indirect object), [B] (the subject) and places for nouns, ending in [A]
    names        of which two are drawn
    nouns        {place: choices}: {"LOCATION": ["store"], "OBJECT": ["milk"]}
    symmetric    each prompt is followed by that with the two names swapped
    Item: {"prompt": ids, "IO": ids, "S": ids, "prompt_length": number of ids}.
    """

    TEMPLATES = ("After [A] and [B] came to the [LOCATION], [B] handed a [OBJECT] to [A]",
                 "As soon as [A] and [B] found a [OBJECT] in the [LOCATION], [B] offered it to [A]")
    NAMES = ("John", "Mary")
    NOUNS = {"LOCATION": ("store", "market", "garden"), "OBJECT": ("drink", "book", "ring")}

    def __init__(
        self, tokenizer: Any, templates: Sequence[str] | None = None, names: Sequence[str] | None = None,
        nouns: Mapping[str, Sequence[str]] | None = None, num_samples: int = 1000, symmetric: bool = False, prepend_bos: bool = True,
        seed: int | None = None,
    ):
        if tokenizer is None:
            raise FailedPreconditionError("NO_TOKENIZER", "Prompts are texts: the model needs a tokenizer.")
        self.tokenizer, self.prepend_bos = tokenizer, prepend_bos
        self.templates, self.names, self.nouns = list(templates or self.TEMPLATES), list(names or self.NAMES), dict(nouns or self.NOUNS)
        for template in self.templates:
            if not template.endswith("[A]") or "[B]" not in template:
                raise InvalidArgumentError("IOI_TEMPLATE", f"The template {template!r} must have [B] and end in [A].")
        if len(set(self.names)) < 2:
            raise InvalidArgumentError("IOI_NAMES", f"{len(set(self.names))} names are given; two are drawn.")
        draw = random.Random(seed)
        self.samples: list[dict[str, str]] = []
        while len(self.samples) < num_samples:
            self.samples += self._sample(draw, symmetric)
        del self.samples[num_samples:]

    def _sample(self, draw: random.Random, symmetric: bool) -> list[dict[str, str]]:
        text = draw.choice(self.templates)
        for place, choices in self.nouns.items():
            text = text.replace(f"[{place}]", draw.choice(list(choices)))
        pair = draw.sample(self.names, 2)
        return [{"text": text.replace("[A]", a).replace("[B]", b), "IO": f" {a}", "S": f" {b}"}
                for a, b in ([pair, pair[::-1]] if symmetric else [pair])]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.samples[index]
        ids = {name: self.tokenizer.encode(sample[name], add_special_tokens=False) for name in ("text", "IO", "S")}
        front = [self.tokenizer.bos_token_id] if self.prepend_bos and self.tokenizer.bos_token_id is not None else []
        prompt = front + ids["text"]
        return {"prompt": prompt, "IO": ids["IO"], "S": ids["S"], "prompt_length": len(prompt)}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))


def ioi_eval(
    model: Any, dataset: Any = None, batch_size: int = 8, num_samples: int = 1000, tokenizer: Any = None, symmetric: bool = False,
    *, seed: int | None = 0,
) -> dict[str, float]:
    """How well a model names the indirect object: {"Logit Difference", "Accuracy"}, means over prompts.

    dataset    items as IOIDataset's; None: one of num_samples prompts
    Names of several tokens are compared at the first that differs, behind what they share.
    """
    tokenizer = tokenizer or model.tokenizer
    if dataset is None:
        dataset = IOIDataset(tokenizer, num_samples=num_samples, symmetric=symmetric, seed=seed)
    items = [_place(item) for item in dataset]
    differences: list[float] = []
    with Bar("ioi_eval") as bar:
        for at in range(0, len(items), batch_size):
            batch = items[at:at + batch_size]
            metric = metrics.logit_diff([io for _, io, _ in batch], [s for _, _, s in batch])
            differences += arrays.to_numpy(model.measure(Input([row for row, _, _ in batch]), metric)).tolist()
            bar(len(differences), len(items))
    found = np.array(differences)
    return {"Logit Difference": float(found.mean()), "Accuracy": float((found > 0).mean())}


def _place(item: Mapping[str, Any]) -> tuple[list[int], int, int]:
    """The tokens before the first that tells the names apart, and the two tokens that may come there."""
    prompt, io, s = (np.ravel(arrays.to_numpy(item[name])).tolist() for name in ("prompt", "IO", "S"))
    shared = next((at for at, (a, b) in enumerate(zip(io, s)) if a != b), None)
    if shared is None:
        raise InvalidArgumentError("IOI_NAMES", f"The names {io} and {s} do not differ in a token that both have.")
    return prompt[:len(prompt) - len(io) + shared], io[shared], s[shared]
