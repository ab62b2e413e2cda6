"""What a transformer computes: TransformerLens 3.9's HookedTransformerConfig, field for field."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from interopinterp import _arrays as arrays
from interopinterp.errors import InvalidArgumentError, unknown


@dataclasses.dataclass
class HookedTransformerConfig:
    """Everything that decides what a transformer computes, under TransformerLens's names.

    Left open, these follow from others: n_heads (d_model / d_head), d_mlp (4 d_model), d_vocab_out (d_vocab), attn_scale (a divisor:
    sqrt(d_head)), initializer_range (0.8 / sqrt(d_model)). The rest of what must fit together the engine checks when a model is made.
    use_attn_result, use_split_qkv_input, use_attn_in, use_hook_mlp_in, use_hook_tokens and ungroup_grouped_query_attention say which
    conditional hook points exist; they belong to this model object alone and may be changed at any time.
    """

    n_layers: int
    d_model: int
    n_ctx: int
    d_head: int
    model_name: str = "custom"
    n_heads: int = -1
    d_mlp: int | None = None
    act_fn: str | None = None
    d_vocab: int = -1
    eps: float = 1e-5
    use_attn_result: bool = False
    use_attn_scale: bool = True
    attn_scale: float = -1.0
    use_split_qkv_input: bool = False
    use_hook_mlp_in: bool = False
    use_attn_in: bool = False
    use_hook_tokens: bool = False
    ungroup_grouped_query_attention: bool = False
    use_local_attn: bool = False
    original_architecture: str | None = None
    from_checkpoint: bool = False
    checkpoint_index: int | None = None
    checkpoint_label_type: str | None = None
    checkpoint_value: int | None = None
    tokenizer_name: str | None = None
    window_size: int | None = None
    attn_types: list[str] | None = None
    init_mode: str = "gpt2"
    normalization_type: str | None = "LN"
    layer_norm_folding: bool = False
    device: str | None = None
    n_devices: int = 1
    attention_dir: str = "causal"
    attn_only: bool = False
    seed: int | None = None
    initializer_range: float = -1.0
    init_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    positional_embedding_type: str = "standard"
    final_rms: bool = False
    d_vocab_out: int = -1
    parallel_attn_mlp: bool = False
    rotary_dim: int | None = None
    n_params: int | None = None
    gated_mlp: bool = False
    uses_rms_norm: bool = False
    default_prepend_bos: bool = True
    dtype: Any = "float32"
    tokenizer_prepends_bos: bool | None = None
    post_embedding_ln: bool = False
    n_key_value_heads: int | None = None
    rotary_base: float = 10000
    rotary_base_local: float | None = None
    rotary_scaling_factor: float = 1.0
    rotary_adjacent_pairs: bool = False
    use_NTK_by_parts_rope: bool = False
    NTK_by_parts_low_freq_factor: float = 1.0
    NTK_by_parts_high_freq_factor: float = 4.0
    NTK_by_parts_factor: float = 8.0
    NTK_original_ctx_len: int = 8192
    use_yarn_rope: bool = False
    yarn_factor: float = 1.0
    yarn_attention_factor: float = 1.0
    yarn_beta_fast: float = 32.0
    yarn_beta_slow: float = 1.0
    yarn_original_max_position_embeddings: int = 4096
    yarn_truncate: bool = True
    use_dynamic_ntk_rope: bool = False
    dynamic_ntk_factor: float = 1.0
    train_seq_length: int | None = None
    use_normalization_before_and_after: bool = False
    use_qk_norm: bool = False
    attn_scores_soft_cap: float = -1.0
    output_logits_soft_cap: float = -1.0
    num_experts: int | None = None
    experts_per_token: int | None = None
    norm_topk_prob: bool = False
    relative_attention_max_distance: int | None = None
    relative_attention_num_buckets: int | None = None
    decoder_start_token_id: int | None = None
    tie_word_embeddings: bool = False
    load_in_4bit: bool = False
    trust_remote_code: bool = False

    def __post_init__(self):
        if self.n_heads == -1:
            if self.d_model % self.d_head:
                raise InvalidArgumentError("INVALID_CONFIG", f"d_model ({self.d_model}) must be divisible by d_head ({self.d_head}) "
                                           "where n_heads is not given.")
            self.n_heads = self.d_model // self.d_head
        if not self.attn_only and self.d_mlp is None:
            self.d_mlp = 4 * self.d_model
        # As TransformerLens counts: weights of attention and MLP, neither embeddings nor biases.
        per_layer = 4 * self.d_model * self.d_head * self.n_heads
        if not self.attn_only:
            per_layer += self.d_model * self.d_mlp * (2 + self.gated_mlp)
        self.n_params = self.n_layers * per_layer
        if self.d_vocab_out == -1:
            self.d_vocab_out = self.d_vocab
        if self.use_attn_scale and self.attn_scale <= 0:
            self.attn_scale = math.sqrt(self.d_head)
        if self.initializer_range < 0:
            self.initializer_range = 0.8 / math.sqrt(self.d_model)
        if self.positional_embedding_type == "rotary" and self.rotary_dim is None:
            self.rotary_dim = self.d_head
        if self.device is not None:
            self.device = str(self.device)
        self.dtype = arrays.native_dtype(arrays.dtype_name(self.dtype))

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any]) -> "HookedTransformerConfig":
        """A config from its fields. Raises UNKNOWN_CONFIG_FIELD with the nearest names."""
        fields = {field.name for field in dataclasses.fields(cls)}
        for name in config_dict:
            if name not in fields:
                raise unknown("UNKNOWN_CONFIG_FIELD", "config field", name, fields)
        return cls(**config_dict)

    @classmethod
    def unwrap(cls, config: "dict[str, Any] | HookedTransformerConfig") -> "HookedTransformerConfig":
        """The config itself, or the one of a dict."""
        return cls.from_dict(config) if isinstance(config, dict) else config

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def to_json(self) -> str:
        """The fields as JSON, as the engine reads them."""
        return json.dumps({**self.to_dict(), "dtype": arrays.dtype_name(self.dtype)})

    @classmethod
    def from_json(cls, text: str) -> "HookedTransformerConfig":
        """What the engine says of a model. Fields that this version does not know are passed over: they have no effect here."""
        fields = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in fields})

    def is_layer_norm_activation(self) -> bool:
        """Whether the MLP's activation has a norm of its own (solu_ln)."""
        return self.act_fn is not None and self.act_fn.endswith("_ln")

    def set_seed_everywhere(self, seed: int) -> None:
        """Seeds the model's random weights; nothing global is touched."""
        self.seed = seed
