"""The helpers that need no engine: names, slices, losses, sampling, factored matrices, files of arrays."""

import json
import subprocess

import numpy as np
import pytest

from conftest import REPOSITORY, golden
from interopinterp import FactoredMatrix, HookedTransformerConfig, _safetensors, errors, utils
from interopinterp.utilities.logits_utils import sampling_probabilities


def test_names_are_those_of_transformerlens():
    _, values = golden("forward")
    for arguments, name in values["act_names"].items():
        assert utils.get_act_name(*eval(arguments)) == name  # noqa: S307 - the fixture writes its keys as Python tuples


def test_sampling_draws_from_the_distribution_of_transformerlens():
    tensors, values = golden("sampling")
    logits, tokens = tensors["logits"], tensors["tokens"]
    checked = 0
    for key, expected in tensors.items():
        if not key.startswith("probs("):
            continue
        options = eval(f"dict({key[6:-1]})")  # noqa: S307
        if "top_k" in options and "top_p" in options:
            with pytest.raises(errors.InvalidArgumentError, match="top_k and top_p"):
                sampling_probabilities(logits, tokens=tokens, **options)
            continue
        assert np.abs(sampling_probabilities(logits, tokens=tokens, **options) - expected).max() < 1e-6, key
        checked += 1
    assert checked > 10
    for options, found in values.items():
        if options.startswith("ties("):
            chosen = eval(options[5:-1])  # noqa: S307
            ties = np.array([[1.0, 2, 2, 2, 0]])
            if chosen.get("temperature") == 0:
                assert utils.sample_logits(ties, **chosen).tolist() == found
            else:
                assert np.abs(sampling_probabilities(ties, **chosen) - found).max() < 1e-6


def test_a_seed_gives_the_same_draws_and_draws_follow_the_weights():
    logits = np.log(np.array([[0.7, 0.2, 0.1, 0.0]]) + 1e-300).repeat(4000, 0)
    first, again = (utils.sample_logits(logits, seed=5) for _ in range(2))
    assert (first == again).all() and (first != utils.sample_logits(logits, seed=6)).any()
    assert np.abs(np.bincount(first, minlength=4) / 4000 - [0.7, 0.2, 0.1, 0]).max() < 0.03


def test_losses_of_masked_rows_count_what_is_there():
    random = np.random.default_rng(0)
    logits, tokens = random.standard_normal((2, 5, 7)), random.integers(0, 7, (2, 5))
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    by_hand = -log_probs[np.arange(2)[:, None], np.arange(4), tokens[:, 1:]]
    assert np.allclose(utils.lm_cross_entropy_loss(logits, tokens, per_token=True), by_hand)
    assert np.isclose(utils.lm_cross_entropy_loss(logits, tokens), by_hand.mean())
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    assert np.isclose(utils.lm_cross_entropy_loss(logits, tokens, mask), (by_hand[0, :2].sum() + by_hand[1].sum()) / 6)
    with pytest.raises(errors.InvalidArgumentError, match="no next one"):
        utils.lm_cross_entropy_loss(logits[:, :1], tokens[:, :1])
    assert utils.lm_accuracy(logits, tokens) == (logits.argmax(-1)[:, :-1] == tokens[:, 1:]).mean()


def test_factored_matrices_are_their_products():
    random = np.random.default_rng(1)
    a, b, c = random.standard_normal((2, 3, 9, 4)), random.standard_normal((2, 3, 4, 8)), random.standard_normal((8, 6))
    product = FactoredMatrix(a, b)
    assert product.shape == (2, 3, 9, 8) and np.allclose(product.AB, a @ b)
    u, s, v = product.svd()
    assert np.allclose(u * s[..., None, :] @ v.swapaxes(-2, -1), a @ b)
    assert np.allclose(product.norm(), np.linalg.norm(a @ b, axis=(-2, -1)))
    assert np.allclose((product @ c).AB, a @ b @ c) and np.allclose((product @ FactoredMatrix(c, c.T)).AB, a @ b @ c @ c.T)
    assert np.allclose(product.T.AB, (a @ b).swapaxes(-2, -1)) and np.allclose((product * 3).AB, 3 * a @ b)
    assert np.allclose(product.make_even().AB, a @ b) and np.allclose(product[1, 2, 3].AB, (a @ b)[1, 2, 3:4])
    assert np.allclose(product[..., 5].AB, (a @ b)[..., 5:6]) and np.allclose(product.get_corner(2), (a @ b)[:2, :2, :2, :2])
    assert np.allclose(product @ c[:, 0], (a @ b) @ c[:, 0]) and np.allclose(c[0, :1].repeat(9) @ product, c[0, :1].repeat(9) @ (a @ b))
    square = FactoredMatrix(a, random.standard_normal((2, 3, 4, 9)))
    mine, theirs = (np.sort_complex(x.round(8)) for x in (square.eigenvalues[0, 0], np.linalg.eigvals(square.AB[0, 0])))
    assert all(np.abs(theirs - value).min() < 1e-6 for value in mine)
    scores = utils.composition_scores(FactoredMatrix(a, b),
                                      FactoredMatrix(random.standard_normal((5, 8, 4)), random.standard_normal((5, 4, 8))))
    assert scores.shape == (2, 3, 5)
    with pytest.raises(errors.InvalidArgumentError, match=r"A is \[3, 4\] and B \[5, 6\]"):
        FactoredMatrix(np.zeros((3, 4)), np.zeros((5, 6)))
    with pytest.raises(errors.InvalidArgumentError, match="row 200 is out of range"):
        product[0, 1, 200]


def test_slices_say_parts_of_axes():
    x = np.arange(24).reshape(2, 3, 4)
    assert (utils.Slice(1).apply(x, 1) == x[:, 1]).all() and (utils.Slice((1, 3)).apply(x, -1) == x[..., 1:3]).all()
    assert (utils.Slice([0, 2]).apply(x, 1) == x[:, [0, 2]]).all() and utils.Slice(None).apply(x) is not None
    assert utils.Slice((1, 4)).indices(6).tolist() == [1, 2, 3] and utils.Slice.unwrap(-1).apply(x, 1).shape == (2, 1, 4)
    for wrong in ("1", True, 1.5):
        with pytest.raises(errors.InvalidArgumentError, match="is no slice"):
            utils.Slice(wrong)


def test_configs_fill_in_what_follows_and_refuse_what_is_unknown():
    _, values = golden("tokens")
    expected = values["cfg"]
    given = ("n_layers", "d_model", "n_ctx", "d_head", "d_vocab", "act_fn")
    config = HookedTransformerConfig(**{name: expected[name] for name in given})
    for name in ("n_heads", "d_mlp", "d_vocab_out", "attn_scale", "initializer_range", "n_params", "init_mode", "attention_dir"):
        assert getattr(config, name) == pytest.approx(expected[name]) if isinstance(expected[name],
                                                                                    float) else getattr(config, name) == expected[name]
    assert HookedTransformerConfig.unwrap(config.to_dict()) == config and json.loads(config.to_json())["dtype"] == "float32"
    with pytest.raises(errors.NotFoundError, match="Did you mean 'n_heads'"):
        HookedTransformerConfig.from_dict({"n_layers": 1, "d_model": 8, "n_ctx": 4, "d_head": 4, "n_head": 2})
    with pytest.raises(ValueError, match=r"d_model \(10\) must be divisible by d_head \(4\)"):
        HookedTransformerConfig(n_layers=1, d_model=10, n_ctx=4, d_head=4, d_vocab=5, act_fn="relu")


def test_files_of_arrays_come_back_as_they_were(tmp_path):
    arrays = {"a": np.arange(6, dtype="f4").reshape(2, 3), "empty": np.zeros((0, 4), "f8"), "scalar": np.array(3, "i8"),
              "flags": np.array([True, False])}
    path = tmp_path / "cache.safetensors"
    _safetensors.save(path, arrays, {"has_batch_dim": "True"})
    back, metadata = _safetensors.load(path)
    assert metadata == {"has_batch_dim": "True"} and list(back) == list(arrays)
    assert all((back[name] == value).all() and back[name].dtype == value.dtype and back[name].shape == value.shape for name,
               value in arrays.items())
    whole = path.read_bytes()
    for broken in (b"", whole[:5], whole[:40], b"\xff" * 8 + whole[8:], whole.replace(b'"F4"', b'"F9"').replace(b'"F32"', b'"F64"')):
        path.write_bytes(broken)
        with pytest.raises(errors.DataLossError):
            _safetensors.load(path)


def test_the_stubs_are_those_of_the_protos(tmp_path):
    version = subprocess.run(["protoc", "--version"], capture_output=True, text=True) if _has("protoc", "grpc_python_plugin") else None
    if version is None or "3.21." not in version.stdout:
        pytest.skip("protoc 3.21 with grpc_python_plugin is absent")
    subprocess.run([REPOSITORY / "scripts" / "python_stubs.sh", tmp_path], check=True)
    checked_in = REPOSITORY / "python" / "interopinterp" / "_pb"
    made = {file.name: file.read_bytes() for file in tmp_path.glob("*_pb2*.py")}
    assert made and made == {file.name: file.read_bytes() for file in checked_in.glob("*_pb2*.py")}, "run scripts/python_stubs.sh"


def _has(*programs):
    import shutil

    return all(shutil.which(program) for program in programs)
