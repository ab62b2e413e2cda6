"""A transformer that can be looked into and changed: TransformerLens 3.x's HookedTransformer over the engine."""

from __future__ import annotations

import weakref
from typing import Any

from interopinterp import _pb as pb
from interopinterp._model.components import build
from interopinterp._model.forward import Forward, Output
from interopinterp._model.generation import Generation
from interopinterp._model.gradients import Gradients
from interopinterp._model.loading import Loading, create, load_options
from interopinterp._model.saes import Saes
from interopinterp._model.tokenizer import Tokenizer
from interopinterp._model.tokens import Tokens
from interopinterp._model.weights import Weights
from interopinterp._plan import FLAGS, flags
from interopinterp.config import HookedTransformerConfig
from interopinterp.errors import FailedPreconditionError, unknown
from interopinterp.hook_points import HookPoint
from interopinterp.HookedRootModule import HookedRootModule

_SETTERS = {
    "hook_result": "use_attn_result", "hook_q_input": "use_split_qkv_input", "hook_k_input": "use_split_qkv_input",
    "hook_v_input": "use_split_qkv_input", "hook_attn_in": "use_attn_in", "hook_mlp_in": "use_hook_mlp_in",
    "hook_tokens": "use_hook_tokens"}


class HookedTransformer(Loading, Tokens, Forward, Generation, Gradients, Saes, Weights, HookedRootModule):
    """A model: a share in weights that the engine holds, and a view of one's own (hooks, flags, SAEs) that nobody else sees.

    HookedTransformer.from_pretrained(path) loads one, HookedTransformer(cfg) makes one with random weights.
    cfg        its config; cfg.use_attn_result and its kin switch conditional hook points on
    tokenizer  its tokenizer, or None
    aliases    TransformerLens 4's names of hook points, which every call takes too, to those in hook_dict
    door       how the engine is reached: "hostfxr", "pythonnet", or a server's address
    """

    _client: Any = None

    def __init__(self, cfg: Any, tokenizer: Any = None, move_to_device: bool = True, default_padding_side: str | None = None):
        super().__init__()
        self._set_up(self._transport_of(), default_padding_side)
        self.cfg = HookedTransformerConfig.unwrap(cfg)
        options = load_options(False, False, False, False, getattr(self.cfg, "device", None), getattr(self.cfg, "dtype", "float32"))
        told = create(self.transport, self.cfg, None, options, "" if tokenizer is None else tokenizer.model)
        self._open(told, None, tokenizer)

    @classmethod
    def _opened(cls, transport: Any, told: pb.Model, request: Any, tokenizer: Any, padding_side: str | None) -> "HookedTransformer":
        self = cls.__new__(cls)
        HookedRootModule.__init__(self)
        self._set_up(transport, padding_side)
        self._open(told, request, tokenizer)
        return self

    @classmethod
    def _transport_of(cls) -> Any:
        from interopinterp.client import local

        return (cls._client or local()).transport

    @property
    def door(self) -> str:
        """How the engine is reached: "hostfxr", "pythonnet", or a server's address."""
        return self.transport.door

    def set_use_attn_result(self, use_attn_result: bool) -> None:
        """Switches attn.hook_result on or off: each head's output [batch, pos, head, d_model]."""
        self.cfg.use_attn_result = use_attn_result

    def set_use_split_qkv_input(self, use_split_qkv_input: bool) -> None:
        """Switches hook_q_input, hook_k_input and hook_v_input on or off: a residual stream per head."""
        self.cfg.use_split_qkv_input = use_split_qkv_input

    def set_use_hook_mlp_in(self, use_hook_mlp_in: bool) -> None:
        """Switches hook_mlp_in on or off."""
        self.cfg.use_hook_mlp_in = use_hook_mlp_in

    def set_use_attn_in(self, use_attn_in: bool) -> None:
        """Switches hook_attn_in on or off: one residual stream per head for its q, k and v."""
        self.cfg.use_attn_in = use_attn_in

    def set_ungroup_grouped_query_attention(self, ungroup_grouped_query_attention: bool) -> None:
        """Whether hook_k and hook_v show a head for every query head, where keys are grouped."""
        self.cfg.ungroup_grouped_query_attention = ungroup_grouped_query_attention

    def fireable(self) -> dict[str, HookPoint]:
        """The hook points that exist under the flags that are set, in firing order."""
        key = tuple(bool(getattr(self.cfg, name)) for name in FLAGS)
        if key not in self._fireable:
            told = self.transport.call(pb.ListHookPointsRequest(model=self._name, flags=flags(self.cfg))).hook_points
            self._fireable[key] = {point.name: self.hook_dict[point.name] for point in told}
        return self._fireable[key]

    def resolve(self, name: str) -> str:
        if name in self.hook_dict:
            return name
        if name in self.aliases:
            return self.aliases[name]
        if ".hook_sae_" in name:
            raise FailedPreconditionError("SAE_POINT",
                                          f"'{name}' can be cached (run_with_cache_with_saes) where that SAE is attached, but takes no "
                                          "hooks: ops.splice(sae, scale={feature: 0}) at the SAE's hook point edits its codes.")
        raise unknown("UNKNOWN_HOOK_POINT", "hook point", name, [*self.hook_dict, *self.aliases], "model.hook_dict has them all.")

    def check_hooks_to_add(self, hook_point: HookPoint, hook_point_name: str, hook: Any, **_: Any) -> None:
        """Refuses hooks at points that are switched off."""
        if hook_point_name not in self.fireable():
            flag = _SETTERS.get(hook_point_name.rpartition(".")[2], "")
            setter = f"model.cfg.{flag} = True" if flag == "use_hook_tokens" else f"model.set_{flag}(True)"
            raise FailedPreconditionError("HOOK_POINT_SILENT",
                                          f"'{hook_point_name}' does not fire: {flag} is off. {setter} switches it on.")

    def __repr__(self) -> str:
        c = self.cfg
        return f"HookedTransformer({c.model_name}: {c.n_layers} layers, d_model {c.d_model}, {c.n_heads} heads, in {self.door})"

    def _set_up(self, transport: Any, padding_side: str | None) -> None:
        self.transport = transport
        self.tokenizer: Tokenizer | None = None
        self.aliases: dict[str, str] = {}
        self.weight_shapes: dict[str, tuple[int, ...]] = {}
        self._padding_side = padding_side
        self._tokenizer_of = ""
        self._saes: dict[str, Any] = {}
        self._finalizer: Any = None

    def _open(self, told: pb.Model, request: Any, tokenizer: Any) -> None:
        """Becomes the model that the engine told of, with a tree of its parts."""
        self._become(told, request)
        if tokenizer is not None:
            self.set_tokenizer(tokenizer, self._padding_side)
        everything = pb.ModelFlags(**{name: name != "ungroup_grouped_query_attention" for name in FLAGS})
        points = self.transport.call(pb.ListHookPointsRequest(model=self._name, flags=everything)).hook_points
        build(self, [point.name for point in points], self.weight_shapes)
        self.aliases = {alias: point.name for point in points for alias in point.aliases}

    def _become(self, told: pb.Model, request: Any = None) -> None:
        """Takes the place of the model that this was: same parts and hooks, other weights."""
        own = {name: getattr(self.cfg, name) for name in FLAGS} if hasattr(self, "cfg") else {}
        self.close()
        self._name, self._request = told.name, request
        self._finalizer = weakref.finalize(self, self.transport.later, pb.CloseModelRequest(name=told.name))
        self._finalizer.atexit = False
        self._weights: dict[tuple[str, bool], Any] = {}
        self._handed_out: dict[str, Any] = {}
        self._fireable: dict[tuple, dict[str, HookPoint]] = {}
        self.cfg = HookedTransformerConfig.from_json(told.config_json)
        for name, value in own.items():
            setattr(self.cfg, name, value)
        self.cfg.device = told.device
        weights = self.transport.call(pb.ListWeightsRequest(model=told.name)).weights
        self.weight_shapes = {weight.name: tuple(weight.shape) for weight in weights}
        if told.HasField("tokenizer"):
            side = self.tokenizer.padding_side if self.tokenizer is not None else self._padding_side
            self.tokenizer = Tokenizer(self.transport, told.name, told.tokenizer, side)
            self._tokenizer_of = told.name
            self.cfg.default_prepend_bos = self.cfg.tokenizer_prepends_bos = told.tokenizer.default_prepend_bos


__all__ = ["HookedTransformer", "Output"]
