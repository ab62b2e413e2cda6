"""Sparse autoencoders under SAELens 6.x's names."""

from __future__ import annotations

import json
import os
import types
import weakref
from typing import Any

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp.errors import FailedPreconditionError, InvalidArgumentError, UnimplementedError, unknown


class SAE:
    """A sparse autoencoder (or transcoder) that the engine runs.

    cfg             what its files say: cfg.d_in, cfg.d_sae, cfg.architecture, cfg.metadata.hook_name, ...
    use_error_term  in a model, add what the reconstruction misses
    W_enc, b_enc, W_dec, b_dec, ...  its weights, fetched when they are looked at (read-only)
    """

    _client: Any = None

    def __init__(self, transport: Any, told: pb.Dictionary, request: pb.LoadDictionaryRequest):
        self.transport = transport
        self.use_error_term = False
        self._weights: dict[tuple[str, bool], Any] = {}
        self._request = request
        self._become(told)

    @classmethod
    def load_from_disk(
        cls, path: str | os.PathLike, device: Any = None, dtype: Any = "float32", activation_scale: float | None = None,
        ignore_unknown_fields: bool = False,
    ) -> "SAE":
        """Loads a SAELens folder or another format that the engine reads; on a server: below its model roots.

        activation_scale       what activations were multiplied by in training, where its files do not say
        ignore_unknown_fields  pass over fields of its config that the engine does not know
        """
        from interopinterp.client import local

        transport = (cls._client or local()).transport
        request = pb.LoadDictionaryRequest(
            path=os.fspath(path), data_type=arrays.DATA_TYPES[arrays.dtype_name(dtype)], device="" if device is None else str(device),
            activation_scale=activation_scale, ignore_unknown_fields=ignore_unknown_fields)
        return cls(transport, transport.call(request).dictionary, request)

    load_from_pretrained = load_from_disk

    @classmethod
    def from_pretrained(cls, release: str, sae_id: str | None = None, device: Any = None, **_: Any) -> "SAE":
        """Releases of the hub are not downloaded; a folder may be given as the release, and one below it as sae_id."""
        path = os.path.join(release, sae_id) if sae_id else release
        if cls._client is None and not os.path.exists(path):
            raise UnimplementedError("NO_DOWNLOADS",
                                     f"SAE.from_pretrained({release!r}, {sae_id!r}) would download; nothing here does. Download the "
                                     "release with SAELens or huggingface_hub, and SAE.load_from_disk(folder).")
        return cls.load_from_disk(path, device)

    def encode(self, x: Any) -> Any:
        """Feature activations [..., d_sae] of activations [..., d_in]."""
        with self.transport.loans() as loans:
            return self.transport.take(self.transport.call(pb.EncodeRequest(dictionary=self._name, activations=loans.tensor(x))).codes)

    def decode(self, feature_acts: Any, x: Any = None) -> Any:
        """Activations [..., d_in] of feature activations [..., d_sae]; x is what they are features of, where each token is normalised."""
        with self.transport.loans() as loans:
            request = pb.DecodeRequest(dictionary=self._name, codes=loans.tensor(feature_acts))
            if x is not None:
                request.activations.CopyFrom(loans.tensor(x))
            return self.transport.take(self.transport.call(request).activations)

    def forward(self, x: Any) -> Any:
        """The reconstruction of activations [..., d_in]."""
        return self.decode(self.encode(x), x)

    __call__ = forward

    def fold_W_dec_norm(self) -> None:
        """Scales every decoder row to length 1 and its encoder to match; the reconstruction stays."""
        request = pb.LoadDictionaryRequest()
        request.CopyFrom(self._request)
        request.fold_w_dec_norm = True
        self._become(self.transport.call(request).dictionary)
        self._request = request

    def state_dict(self) -> dict[str, Any]:
        """The weights by their names in the file."""
        weights = self.transport.call(pb.GetDictionaryWeightsRequest(dictionary=self._name)).weights
        return {name: self.transport.take(tensor) for name, tensor in weights.items()}

    @property
    def hook_name(self) -> str:
        """The hook point it was trained on. Raises HOOK_UNKNOWN where its files do not say."""
        if not self._told.hook_name:
            raise FailedPreconditionError("HOOK_UNKNOWN",
                                          "The SAE's files do not say at which hook point it belongs: use ops.splice(sae) there.")
        return self._told.hook_name

    def eval(self) -> "SAE":
        """Nothing to do: there is only inference."""
        return self

    def to(self, *_: Any, **__: Any) -> "SAE":
        """SAEs stay where they were loaded."""
        return self

    def dictionary_name(self, model: Any) -> str:
        """The engine's name of it, for a model on the same engine."""
        if model.transport is not self.transport:
            raise InvalidArgumentError("OTHER_ENGINE",
                                       f"The SAE is in {self.transport.door}, the model in {model.transport.door}: load both in one place.")
        return self._name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_weights" not in self.__dict__:
            raise AttributeError(name)
        key = (name, arrays.torch() is not None)
        if key not in self._weights:
            self._weights.update({(known, key[1]): value for known, value in self.state_dict().items()})
        if key not in self._weights:
            known = [weight for weight, library in self._weights if library == key[1]]
            raise AttributeError(str(unknown("UNKNOWN_WEIGHT", "attribute of the SAE", name, known)))
        return self._weights[key]

    def __repr__(self) -> str:
        return f"SAE({self._told.architecture}, {self._told.d_in} -> {self._told.d_sae}, at {self._told.hook_name or 'no hook point'})"

    def _become(self, told: pb.Dictionary) -> None:
        self._told = told
        self._name = told.name
        self._weights.clear()
        read = json.loads(told.config_json or "{}")
        metadata = types.SimpleNamespace(**{"hook_name": told.hook_name, **(read.get("metadata") or {})})
        own = {"architecture": told.architecture, "d_in": told.d_in, "d_sae": told.d_sae, "device": told.device,
               "dtype": arrays.NAMES.get(told.data_type, "float32"), "hook_name": told.hook_name}
        self.cfg = types.SimpleNamespace(**{**read, **own, "metadata": metadata})
        self._finalizer = weakref.finalize(self, self.transport.later, pb.CloseDictionaryRequest(name=told.name))
        self._finalizer.atexit = False

