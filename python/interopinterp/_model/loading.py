"""Where models come from, and where they go."""

from __future__ import annotations

import os
from typing import Any

from interopinterp import _arrays as arrays
from interopinterp import _pb as pb
from interopinterp._names import refuse, refuse_unknown
from interopinterp.config import HookedTransformerConfig
from interopinterp.errors import InvalidArgumentError, UnimplementedError

_REFUSED = {
    "refactor_factored_attn_matrices": "the factored matrices are not refactored here; FactoredMatrix of QK and OV gives their SVD.",
    "checkpoint_index": "checkpoints are folders: name the checkpoint's folder.",
    "checkpoint_value": "checkpoints are folders: name the checkpoint's folder.",
    "checkpoint_label": "checkpoints are folders: name the checkpoint's folder.",
    "hf_model": "models are read from files: hf_model.save_pretrained(folder), then from_pretrained(folder)."}


def load_options(
    fold_ln: bool, center_writing_weights: bool, center_unembed: bool, fold_value_biases: bool, device: Any = None, dtype: Any = "float32",
    first_n_layers: int | None = None, n_ctx: int | None = None, default_prepend_bos: bool | None = None,
) -> pb.LoadOptions:
    """How a model is to be loaded."""
    return pb.LoadOptions(
        processing=pb.Processing(fold_ln=fold_ln, center_writing_weights=center_writing_weights, center_unembed=center_unembed,
                                 fold_value_biases=fold_value_biases),
        data_type=arrays.DATA_TYPES[arrays.dtype_name(dtype)], device="" if device is None else str(device), first_n_layers=first_n_layers,
        n_ctx=n_ctx, default_prepend_bos=default_prepend_bos)


def official_name(name: str) -> str:
    """The hub's name of a model that TransformerLens knows by another; anything else as it is."""
    if os.path.exists(name):
        return name
    return "gpt2" if name == "gpt2-small" else f"EleutherAI/{name}" if name.startswith("pythia-") else name


class Loading:
    """Loading, making, saving, and moving models."""

    @classmethod
    def from_pretrained(
        cls, model_name: str | os.PathLike, fold_ln: bool = True, center_writing_weights: bool = True, center_unembed: bool = True,
        refactor_factored_attn_matrices: bool = False, checkpoint_index: int | None = None, checkpoint_value: int | None = None,
        checkpoint_label: Any = None, hf_model: Any = None, device: Any = None, n_devices: int = 1, tokenizer: Any = None,
        move_to_device: bool = True, fold_value_biases: bool = True, default_prepend_bos: bool | None = None,
        default_padding_side: str | None = None, dtype: Any = "float32", first_n_layers: int | None = None, n_ctx: int | None = None,
        **from_pretrained_kwargs: Any,
    ) -> Any:
        """Loads a model and processes its weights as TransformerLens does.

        model_name  a folder or file (Hugging Face, TransformerLens, GGUF), a name in the local Hugging Face cache, or "induction", which
                    comes with the engine. On a server: below its model roots. Nothing is downloaded
        fold_ln, center_writing_weights, center_unembed, fold_value_biases  none of them changes what the model computes, up to a constant
                    per position of the logits
        dtype       "float32", "float64", ...; numpy's and torch's dtypes too
        tokenizer   of another model: model.tokenizer
        Raises MODEL_NOT_FOUND, UNKNOWN_ARCHITECTURE, ... with the nearest names.
        """
        given = dict(refactor_factored_attn_matrices=refactor_factored_attn_matrices, checkpoint_index=checkpoint_index,
                     checkpoint_value=checkpoint_value, checkpoint_label=checkpoint_label, hf_model=hf_model)
        refuse("from_pretrained", given, _REFUSED)
        if n_devices != 1:
            raise UnimplementedError("NOT_OFFERED", f"from_pretrained(n_devices={n_devices}): a model is on one device.")
        # torch_dtype is Hugging Face's name for it; the others say how to download, and nothing is downloaded.
        dtype = from_pretrained_kwargs.pop("torch_dtype", dtype)
        for name in ("trust_remote_code", "cache_dir", "local_files_only", "token", "revision", "output_attentions"):
            from_pretrained_kwargs.pop(name, None)
        refuse_unknown("from_pretrained", from_pretrained_kwargs, cls.from_pretrained.__code__.co_varnames)
        options = load_options(fold_ln, center_writing_weights, center_unembed, fold_value_biases, device, dtype, first_n_layers, n_ctx,
                               default_prepend_bos)
        request = pb.LoadModelRequest(path=official_name(os.fspath(model_name)), options=options)
        transport = cls._transport_of()
        return cls._opened(transport, transport.call(request).model, request, tokenizer, default_padding_side)

    @classmethod
    def from_pretrained_no_processing(
        cls, model_name: str | os.PathLike, fold_ln: bool = False, center_writing_weights: bool = False, center_unembed: bool = False,
        refactor_factored_attn_matrices: bool = False, fold_value_biases: bool = False, dtype: Any = "float32",
        default_prepend_bos: bool | None = None, default_padding_side: str | None = None, **from_pretrained_kwargs: Any,
    ) -> Any:
        """Loads a model with its weights as they are: Hugging Face's numbers."""
        return cls.from_pretrained(
            model_name, fold_ln, center_writing_weights, center_unembed, refactor_factored_attn_matrices,
            fold_value_biases=fold_value_biases,
            dtype=dtype, default_prepend_bos=default_prepend_bos, default_padding_side=default_padding_side, **from_pretrained_kwargs)

    def load_state_dict(self, state_dict: Any, strict: bool = True) -> None:
        """Takes weights by their TransformerLens names, as they are. With strict=False missing ones stay as they were."""
        if not strict:
            own = self.state_dict()
            state_dict = {**own, **{name: value for name, value in state_dict.items() if name in own}}
        self._become(self._create(state_dict, load_options(False, False, False, False, self.cfg.device, self.cfg.dtype)))

    def load_and_process_state_dict(
        self, state_dict: Any, fold_ln: bool = True, center_writing_weights: bool = True, center_unembed: bool = True,
        fold_value_biases: bool = True, refactor_factored_attn_matrices: bool = False,
    ) -> None:
        """Takes weights and processes them. Raises for missing weights and wrong shapes, naming them."""
        refuse("load_and_process_state_dict", dict(refactor_factored_attn_matrices=refactor_factored_attn_matrices), _REFUSED)
        options = load_options(fold_ln, center_writing_weights, center_unembed, fold_value_biases, self.cfg.device, self.cfg.dtype)
        self._become(self._create(state_dict, options))

    def process_weights_(
        self, fold_ln: bool = True, center_writing_weights: bool = True, center_unembed: bool = True,
        refactor_factored_attn_matrices: bool = False,
    ) -> None:
        """Processes the weights that are loaded."""
        self.load_and_process_state_dict(self.state_dict(), fold_ln, center_writing_weights, center_unembed, False,
                                         refactor_factored_attn_matrices)

    def save(self, path: str | os.PathLike) -> None:
        """Writes weights and config (safetensors, TransformerLens's names), to be loaded by from_pretrained(path)."""
        self.transport.call(pb.SaveModelRequest(name=self._name, path=os.fspath(path)))

    def to(self, device_or_dtype: Any, print_details: bool = True) -> Any:
        """Moves the model to a device ("cpu", "cuda:0") or to a dtype. Returns the model."""
        name = str(device_or_dtype)
        is_device = name.split(":")[0] in ("cpu", "cuda", "mps", "meta") and not name.startswith("torch.")
        device, dtype = (name, self.cfg.dtype) if is_device else (self.cfg.device, device_or_dtype)
        if (device, arrays.dtype_name(dtype)) == (self.cfg.device, arrays.dtype_name(self.cfg.dtype)):
            return self
        if isinstance(self._request, pb.LoadModelRequest):
            request = pb.LoadModelRequest()
            request.CopyFrom(self._request)
            request.options.device = device
            request.options.data_type = arrays.DATA_TYPES[arrays.dtype_name(dtype)]
            self._become(self.transport.call(request).model, request)
        else:
            self._become(self._create(self.state_dict(), load_options(False, False, False, False, device, dtype)))
        if print_details:
            print("Moving model to", name)
        return self

    def cuda(self, device: Any = None) -> Any:
        """Moves the model to a GPU."""
        return self.to("cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device)

    def cpu(self) -> Any:
        """Moves the model to the CPU."""
        return self.to("cpu")

    def close(self) -> None:
        """Ends this object's share in the model; the weights go with the last one."""
        if self._finalizer is not None and self._finalizer.detach():
            self.transport.call(pb.CloseModelRequest(name=self._name))

    def _create(self, state_dict: Any, options: pb.LoadOptions) -> pb.Model:
        return create(self.transport, self.cfg, state_dict, options, self._tokenizer_of)


def create(transport: Any, cfg: HookedTransformerConfig, state_dict: Any, options: pb.LoadOptions, tokenizer_of: str = "") -> pb.Model:
    """Makes a model of a config: with the given weights, or with random ones."""
    if not isinstance(cfg, HookedTransformerConfig):
        raise InvalidArgumentError("INVALID_CONFIG", f"cfg is a {type(cfg).__name__}; a HookedTransformerConfig or a dict of its fields is "
                                   "expected. HookedTransformer.from_pretrained(path) loads a model by its name.")
    with transport.loans() as loans:
        weights = {name: loans.tensor(value) for name, value in (state_dict or {}).items()}
        request = pb.CreateModelRequest(config_json=cfg.to_json(), state_dict=weights, options=options, tokenizer_of=tokenizer_of)
        return transport.call(request).model
