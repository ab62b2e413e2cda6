"""Every capability has a name in Python, those of TransformerLens where it has one."""

import functools
import inspect
from pathlib import Path

import pytest

import interopinterp
from interopinterp._transport.methods import STREAMING, UNARY

HERE = Path(__file__).parent
# Calls of TransformerLens 3.9 (and 4's analyses) as people write them, with the parameters they name.
TRANSFORMERLENS = {
    "HookedTransformer.from_pretrained": "model_name fold_ln center_writing_weights center_unembed refactor_factored_attn_matrices dtype",
    "HookedTransformer.from_pretrained_no_processing": "model_name",
    "HookedTransformerConfig.unwrap": "", "HookedTransformerConfig.from_dict": "", "HookedTransformerConfig.to_dict": "",
    "HookedTransformer.forward": "input return_type loss_per_token prepend_bos padding_side start_at_layer tokens attention_mask stop_at_layer",
    "HookedTransformer.run_with_cache": "return_cache_object remove_batch_dim names_filter incl_bwd pos_slice",
    "HookedTransformer.run_with_hooks": "fwd_hooks bwd_hooks reset_hooks_end clear_contexts",
    "HookedTransformer.hooks": "fwd_hooks bwd_hooks reset_hooks_end clear_contexts",
    "HookedTransformer.add_hook": "name hook dir is_permanent level prepend", "HookedTransformer.add_perma_hook": "name hook dir",
    "HookedTransformer.reset_hooks": "clear_contexts direction including_permanent level",
    "HookedTransformer.add_caching_hooks": "names_filter incl_bwd", "HookedTransformer.get_caching_hooks": "names_filter incl_bwd",
    "HookedTransformer.hook_points": "", "HookedTransformer.list_hooks": "",
    "HookedTransformer.generate": "input max_new_tokens stop_at_eos eos_token_id do_sample top_k top_p temperature freq_penalty return_type",
    "HookedTransformer.generate_stream": "max_new_tokens max_tokens_per_yield",
    "HookedTransformer.to_tokens": "input prepend_bos padding_side truncate", "HookedTransformer.to_string": "tokens",
    "HookedTransformer.to_str_tokens": "input prepend_bos padding_side", "HookedTransformer.to_single_token": "string",
    "HookedTransformer.to_single_str_token": "int_token", "HookedTransformer.get_token_position": "single_token input mode",
    "HookedTransformer.tokens_to_residual_directions": "tokens", "HookedTransformer.loss_fn": "logits tokens attention_mask per_token",
    "HookedTransformer.input_to_embed": "input prepend_bos", "HookedTransformer.set_tokenizer": "tokenizer", "HookedTransformer.to": "",
    "HookedTransformer.state_dict": "", "HookedTransformer.set_use_attn_result": "", "HookedTransformer.set_use_split_qkv_input": "",
    "HookedTransformer.set_use_hook_mlp_in": "", "HookedTransformer.set_use_attn_in": "",
    "HookedTransformer.set_ungroup_grouped_query_attention": "", "HookedTransformer.load_and_process_state_dict": "state_dict fold_ln",
    "HookedTransformer.process_weights_": "fold_ln center_writing_weights", "HookedTransformer.accumulated_bias": "layer mlp_input",
    "HookedTransformer.all_composition_scores": "mode", "HookedTransformer.all_head_labels": "",
    **{f"HookedTransformer.{name}": "" for name in (
        "W_E", "W_pos", "W_E_pos", "W_U", "b_U", "W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O", "W_in", "W_gate", "W_out", "b_in",
        "b_out", "QK", "OV")},
    "ActivationCache.accumulated_resid": "layer incl_mid apply_ln pos_slice mlp_input return_labels",
    "ActivationCache.decompose_resid": "layer mlp_input mode apply_ln pos_slice incl_embeds return_labels",
    "ActivationCache.stack_head_results": "layer return_labels incl_remainder pos_slice apply_ln", "ActivationCache.compute_head_results": "",
    "ActivationCache.stack_activation": "activation_name layer sublayer_type",
    "ActivationCache.get_neuron_results": "layer neuron_slice pos_slice",
    "ActivationCache.stack_neuron_results": "layer pos_slice neuron_slice return_labels incl_remainder apply_ln",
    "ActivationCache.apply_ln_to_stack": "residual_stack layer mlp_input pos_slice batch_slice has_batch_dim recompute_ln",
    "ActivationCache.get_full_resid_decomposition": "layer mlp_input expand_neurons apply_ln pos_slice return_labels",
    "ActivationCache.logit_attrs": "residual_stack tokens incorrect_tokens pos_slice batch_slice has_batch_dim",
    "ActivationCache.to": "", "ActivationCache.remove_batch_dim": "", "ActivationCache.apply_slice_to_batch_dim": "batch_slice",
    "ActivationCache.toggle_autodiff": "mode",
    **{f"FactoredMatrix.{name}": "" for name in (
        "AB", "BA", "T", "U", "S", "Vh", "svd", "eigenvalues", "norm", "make_even", "get_corner", "collapse_l", "collapse_r", "unsqueeze", "pair")},
    "SVDInterpreter.get_singular_vectors": "vector_type layer_index num_vectors head_index",
    "patching.generic_activation_patch":
        "model corrupted_tokens clean_cache patching_metric patch_setter activation_name index_axis_names index_df return_index_df",
    **{f"patching.get_act_patch_{name}": "" for name in (
        "resid_pre", "resid_mid", "attn_out", "mlp_out", "attn_head_out_by_pos", "attn_head_q_by_pos", "attn_head_k_by_pos",
        "attn_head_v_by_pos", "attn_head_out_all_pos", "attn_head_q_all_pos", "attn_head_k_all_pos", "attn_head_v_all_pos",
        "attn_head_pattern_all_pos", "attn_head_pattern_by_pos", "attn_head_pattern_dest_src_pos", "attn_head_all_pos_every",
        "attn_head_by_pos_every", "block_every")},
    "head_detector.detect_head": "model seq detection_pattern heads cache exclude_bos exclude_current_token error_measure",
    "utils.get_act_name": "name layer layer_type", "utils.test_prompt": "prompt answer model prepend_space_to_answer print_details prepend_bos top_k",
    "utils.lm_cross_entropy_loss": "logits tokens attention_mask per_token", "utils.lm_accuracy": "logits tokens per_token",
    "utils.sample_logits": "final_logits top_k top_p temperature freq_penalty", "utils.tokenize_and_concatenate": "dataset tokenizer",
    "utils.get_dataset": "dataset_name", "utils.logits_to_df": "logits tokenizer top_k", "utils.to_numpy": "", "utils.get_corner": "",
    "utils.remove_batch_dim": "", "utils.composition_scores": "left right broadcast_dims", "utils.Slice.apply": "",
    "utils.LocallyOverridenDefaults": "model",
    "TransformerLensKeyValueCache.init_cache": "cfg device batch_size", "TransformerLensKeyValueCache.freeze": "",
    "TransformerLensKeyValueCache.unfreeze": "", "TransformerLensKeyValueCache.append_attention_mask": "",
    "tools.analysis.direct_logit_attribution": "model input answer_tokens incorrect_tokens unit pos cache",
    "tools.analysis.get_act_patch_direct_path":
        "model corrupted_tokens clean_cache corrupted_cache patching_metric src_layer src_head component verbose",
    "tools.analysis.get_act_patch_direct_path_all_sources": "model corrupted_tokens clean_cache corrupted_cache patching_metric component verbose",
    "tools.analysis.logit_lens": "model", "tools.analysis.attribution_patch": "model",
    "TransformerBridge.boot_transformers": "model_name device dtype tokenizer", "TransformerBridge.boot_native": "",
    "TransformerBridge.enable_compatibility_mode": "no_processing fold_ln center_writing_weights center_unembed fold_value_biases",
    "evals.induction_loss": "model tokenizer batch_size subseq_len prepend_bos device",
    "evals.ioi_eval": "model dataset batch_size num_samples tokenizer symmetric",
    "evals.IOIDataset": "tokenizer templates names nouns num_samples symmetric prepend_bos seed"}


def find(name):
    """What a dotted name stands for below interopinterp."""
    return functools.reduce(getattr, name.split("."), interopinterp)


def table():
    lines = (HERE.parent / "capabilities.tsv").read_text().splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def test_every_name_of_transformerlens_is_here():
    missing = []
    for name, parameters in TRANSFORMERLENS.items():
        try:
            found = find(name)
        except AttributeError:
            missing.append(name)
            continue
        if parameters:
            own = list(inspect.signature(found).parameters)
            missing += [f"{name}({parameter})" for parameter in parameters.split() if parameter not in own]
    assert not missing, missing


def test_every_capability_of_the_engine_has_its_name():
    missing = []
    for engine, method, name in table():
        try:
            find(name)
        except AttributeError:
            missing.append((engine, name))
    assert not missing, missing


def test_every_method_of_the_protocol_is_known_here():
    known = {f"{service.rpartition('.')[2]}/{method}" for service, method, _ in (*UNARY.values(), *STREAMING.values())}
    assert not {method for _, method, _ in table()} - known


@pytest.mark.parametrize("module", ["circuits", "heads", "patching", "evals", "tools.analysis"])
def test_what_is_public_says_what_it_does(module):
    for name in getattr(find(module), "__all__", ()):
        found = getattr(find(module), name)
        assert inspect.getdoc(found), name
