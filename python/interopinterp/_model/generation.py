"""Continuing texts."""

from __future__ import annotations

import queue
import threading
from typing import Any, Iterator, NamedTuple

import numpy as np

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._model import inputs
from interopinterp._names import refuse_unknown
from interopinterp._plan import PlanScope
from interopinterp._progress import Bar
from interopinterp.errors import FailedPreconditionError, InvalidArgumentError, UnimplementedError, unknown

_RETURN_TYPES = ("input", "str", "tokens", "embeds")
_OTHERS = ("repetition_penalty", "output_logits", "return_dict_in_generate", "seed")


class GenerateOutput(NamedTuple):
    """What output_logits=True gives: prompt and new tokens [batch, pos], and per step the logits [batch, d_vocab] it chose from."""

    sequences: Any
    logits: tuple


class Generation:
    """generate and generate_stream."""

    def generate(
        self, input: Any = "", max_new_tokens: int = 10, stop_at_eos: bool = True, eos_token_id: Any = None, do_sample: bool = True,
        top_k: int | None = None, top_p: float | None = None, temperature: float = 1.0, freq_penalty: float = 0.0,
        use_past_kv_cache: bool = True, prepend_bos: bool | None = None, padding_side: str | None = None, return_type: str = "input",
        verbose: bool = True, **generation_kwargs: Any,
    ) -> Any:
        """Continues a text, texts, or tokens [batch, pos]. Hooks that stand in the model run at every step, without the keys and values of
        earlier positions being computed again.

        max_new_tokens  at most as many; together with the prompt they must fit n_ctx
        stop_at_eos     end a row at eos_token_id (an id or several; the tokenizer's by default); it then repeats it until all have ended
        do_sample       draw with temperature, top_k or top_p, freq_penalty; else take the likeliest
        return_type     "input" (as it was given), "str", "tokens" [batch, pos + new]
        verbose         a progress bar, should it take longer than a second
        further         seed: the same draws each time (by default a number drawn from numpy's or torch's own generator);
                        repetition_penalty; output_logits=True gives (sequences, logits)
        """
        refuse_unknown("generate", {k: v for k, v in generation_kwargs.items() if k not in _OTHERS}, _OTHERS)
        options = dict(max_new_tokens=max_new_tokens, stop_at_eos=stop_at_eos, eos_token_id=eos_token_id, do_sample=do_sample, top_k=top_k,
                       top_p=top_p, temperature=temperature, freq_penalty=freq_penalty, use_past_kv_cache=use_past_kv_cache,
                       repetition_penalty=generation_kwargs.get("repetition_penalty", 0.0), seed=generation_kwargs.get("seed"))
        given, kind = self._prompt(input, prepend_bos, padding_side, return_type)
        want_logits = bool(generation_kwargs.get("output_logits"))
        with Bar("generate", verbose) as bar:
            response = self._generate(given, options, want_logits, progress=bar if verbose else None)
        rows = [list(row.tokens) for row in response.tokens]
        if kind == "str" and not want_logits:
            texts = [self.tokenizer.decode(row, skip_special_tokens=True) for row in rows]
            return texts[0] if len(texts) == 1 else texts
        sequences = arrays.from_numpy(inputs.pad_rows(rows, self.pad_token_id, "left"))
        return GenerateOutput(sequences, self._step_logits(response, given)) if want_logits else sequences

    def generate_stream(
        self, input: Any = "", max_new_tokens: int = 10, max_tokens_per_yield: int = 25, stop_at_eos: bool = True, eos_token_id: Any = None,
        do_sample: bool = True, top_k: int | None = None, top_p: float | None = None, temperature: float = 1.0, freq_penalty: float = 0.0,
        use_past_kv_cache: bool = True, prepend_bos: bool | None = None, padding_side: str | None = None, return_type: str = "input",
        verbose: bool = True, **generation_kwargs: Any,
    ) -> Iterator[Any]:
        """The same, piece by piece: first the prompt with the first new tokens, then up to max_tokens_per_yield new tokens at a time."""
        refuse_unknown("generate_stream", {k: v for k, v in generation_kwargs.items() if k not in _OTHERS}, _OTHERS)
        options = dict(max_new_tokens=max_new_tokens, stop_at_eos=stop_at_eos, eos_token_id=eos_token_id, do_sample=do_sample, top_k=top_k,
                       top_p=top_p, temperature=temperature, freq_penalty=freq_penalty, use_past_kv_cache=use_past_kv_cache,
                       repetition_penalty=generation_kwargs.get("repetition_penalty", 0.0), seed=generation_kwargs.get("seed"))
        given, kind = self._prompt(input, prepend_bos, padding_side, return_type)
        piece = inputs.pad_rows(given.rows, self.pad_token_id, "left")
        count = 0
        for step in _steps(lambda told: self._generate(given, options, tokens=told), len(given.rows)):
            piece = np.concatenate([piece, np.array(step, np.int64)[:, None]], 1)
            count += 1
            if count == max_tokens_per_yield:
                yield self._piece(piece, kind)
                piece, count = piece[:, :0], 0
        if count:
            yield self._piece(piece, kind)

    def _piece(self, tokens: np.ndarray, kind: str) -> Any:
        if kind != "str":
            return arrays.from_numpy(tokens)
        texts = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return texts[0] if len(texts) == 1 else texts

    def _prompt(self, given: Any, prepend_bos: bool | None, padding_side: str | None, return_type: str) -> tuple[inputs.Input, str]:
        if return_type not in _RETURN_TYPES:
            raise unknown("UNKNOWN_RETURN_TYPE", "return_type", str(return_type), _RETURN_TYPES)
        if return_type == "embeds" or arrays.is_array(given) and given.ndim == 3:
            raise UnimplementedError("NOT_OFFERED",
                                     "generate starts from text or tokens and gives those; for embeddings of the result run the model "
                                     "on it: model.run_with_cache(tokens, names_filter='hook_embed').")
        if isinstance(given, (list, tuple)) and len(given) > 1 and inputs.is_text(given):
            padding_side = "left"
        read = inputs.read(self, given, prepend_bos, padding_side)
        kind = ("str" if read.texts else "tokens") if return_type == "input" else return_type
        if kind == "str":
            self._tokenizer("return_type='str'")
        return read, kind

    def _generate(self, given: inputs.Input, options: dict[str, Any], want_logits: bool = False, progress: Any = None,
                  tokens: Any = None) -> Any:
        self.check_weights()
        o = options
        seed = o["seed"]
        if seed is None:
            torch = arrays.torch()
            seed = int(torch.randint(2**62, ())) if torch is not None else int(np.random.randint(2**62, dtype=np.int64))
        with self.transport.loans() as loans:
            scope = PlanScope(self, loans).run(given).hooks()
            scope.plan.seed = seed % 2**64
            scope.plan.generation.CopyFrom(pb.Generation(
                max_new_tokens=o["max_new_tokens"], stop_tokens=self._stop_tokens(o["stop_at_eos"], o["eos_token_id"]),
                sample=o["do_sample"],
                top_k=o["top_k"], top_p=o["top_p"], temperature=o["temperature"], frequency_penalty=o["freq_penalty"],
                repetition_penalty=o["repetition_penalty"], no_cache=not o["use_past_kv_cache"]))
            if want_logits:
                scope.capture(["unembed.hook_out"])
            return self.transport.run_plan(pb.RunPlanRequest(model=self._name, plan=scope.plan), progress, tokens)

    def _stop_tokens(self, stop_at_eos: bool, eos_token_id: Any) -> list[int]:
        if not stop_at_eos:
            return []
        if eos_token_id is None:
            eos_token_id = None if self.tokenizer is None else self.tokenizer.eos_token_id
        if eos_token_id is None:
            raise FailedPreconditionError("NO_EOS_TOKEN",
                                          "stop_at_eos needs an EOS token, and there is no tokenizer that has one: pass eos_token_id, or "
                                          "stop_at_eos=False.")
        return [int(eos_token_id)] if isinstance(eos_token_id, (int, np.integer)) else [int(i) for i in eos_token_id]

    def _step_logits(self, response: Any, given: inputs.Input) -> tuple:
        if len({len(row) for row in given.rows}) > 1:
            raise InvalidArgumentError("ROWS_OF_DIFFERENT_LENGTH", "output_logits needs prompts of equal length.")
        scores = self.transport.take(response.captures[0].tensor)
        cap = self.cfg.output_logits_soft_cap
        steps = tuple(scores[:, position] for position in range(len(given.rows[0]) - 1, scores.shape[1]))
        return steps if cap <= 0 else tuple(cap * (arrays.torch() or np).tanh(s / cap) for s in steps)


def _steps(run: Any, rows: int) -> Iterator[list[int]]:
    """The tokens of each decode step, one per row, from a run that reports them in batches of rows on another thread's behalf."""
    told: queue.SimpleQueue = queue.SimpleQueue()
    done = object()
    stop = threading.Event()

    def report(first: int, tokens: list[int]) -> None:
        if stop.is_set():
            raise _Stopped
        told.put((first, tokens))

    def work() -> None:
        try:
            run(report)
        except BaseException as error:  # handed to the caller's thread
            told.put(error)
        told.put(done)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    # Rows beyond what fits a batch come after those of the batch before, so their steps are put together at the end.
    batches: dict[int, list[list[int]]] = {}
    try:
        while (item := told.get()) is not done:
            if isinstance(item, BaseException):
                raise item
            first, tokens = item
            if len(tokens) == rows:
                yield tokens
            else:
                batches.setdefault(first, []).append(tokens)
        for step in range(max(map(len, batches.values()), default=0)):
            yield [token for _, steps in sorted(batches.items()) for token in steps[min(step, len(steps) - 1)]]
    finally:
        stop.set()


class _Stopped(Exception):
    """Nobody reads the stream any more."""
