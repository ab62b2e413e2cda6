"""Bad files, weights that are no numbers, closed things, servers that are not there: through every door."""

import threading

import numpy as np
import pytest

import interopinterp
from engines import TINY, Server
from interopinterp import ActivationCache, errors, metrics, patching


@pytest.fixture
def place(engine, writable_root):
    """Makes a folder of files that the engine can reach; its path as from_pretrained takes it."""
    from pathlib import Path

    def make(name, files):
        path = writable_root(engine, name)
        Path(path).mkdir()
        for file, content in files.items():
            Path(path, file).write_bytes(content)
        return path

    return make


GPT2 = b'{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 1, "n_head": 1, "n_embd": 4, "n_ctx": 4, "vocab_size": 5}'
EMPTY = b"\x02\0\0\0\0\0\0\0{}"
FOLDERS = {
    "empty": ({}, "MODEL_NOT_FOUND", "no config.json"),
    "no_weights": ({"config.json": GPT2}, "WEIGHTS_NOT_FOUND", "neither model.safetensors"),
    "alien": ({"config.json": b'{"model_type": "nope", "architectures": ["NopeForCausalLM"]}', "model.safetensors": EMPTY},
              "UNKNOWN_ARCHITECTURE", "[Nn]ope"),
    "garbled": ({"config.json": b'{"model_type": "gp', "model.safetensors": EMPTY}, "", "config.json"),
    "damaged": ({"config.json": GPT2, "model.safetensors": b"\xff" * 100}, "SAFETENSORS_HEADER_TOO_LONG", "model.safetensors"),
    "hollow": ({"config.json": GPT2, "model.safetensors": EMPTY}, "", "wte|embed"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_that_hold_no_sound_model_are_named(engine, place, name):
    files, reason, says = FOLDERS[name]
    with pytest.raises(errors.InterpError, match=says) as caught:
        engine.HookedTransformer.from_pretrained(place(f"{name}_{engine.door.partition(':')[0]}", files))
    assert reason in ("", caught.value.reason) and not isinstance(caught.value, errors.InternalError)


def test_missing_files_are_named(engine, tiny, tmp_path):
    with pytest.raises(errors.NotFoundError, match="nowhere"):
        engine.SAE.load_from_disk("nowhere")
    with pytest.raises(errors.NotFoundError, match="no file '.*nowhere.safetensors'"):
        ActivationCache.load(tmp_path / "nowhere.safetensors", tiny)
    (tmp_path / "cache.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(errors.DataLossError, match="cache.safetensors is no safetensors file"):
        ActivationCache.load(tmp_path / "cache.safetensors", tiny)
    with pytest.raises(errors.NotFoundError, match="no folder '.*nowhere'"):
        tiny.run_with_cache([[1]])[1].save(tmp_path / "nowhere" / "cache.safetensors")


def test_weights_that_are_no_numbers_are_taken_as_they_are(engine, tokens):
    model = engine.HookedTransformer(TINY)
    model.load_state_dict({"embed.W_E": np.full((50, 16), np.nan, np.float32)}, strict=False)
    assert np.isnan(np.asarray(model(tokens))).all()


def test_closed_models_say_so_and_leave_what_they_gave(engine, tokens):
    model = engine.HookedTransformer(TINY)
    _, cache = model.run_with_cache(tokens)
    model.close()
    for act in (lambda: model(tokens), lambda: model.generate(tokens, stop_at_eos=False), lambda: model.W_E,
                lambda: patching.get_act_patch_resid_pre(model, tokens, cache, metrics.loss())):
        with pytest.raises(errors.FailedPreconditionError, match="was closed; load it again") as caught:
            act()
        assert caught.value.reason == "MODEL_CLOSED"
    assert np.isfinite(np.asarray(cache["q", 0])).all()


@pytest.mark.parametrize("address", ["grpc://127.0.0.1:1", "grpc://nowhere.invalid:50051", "unix:///nowhere/interp"])
def test_a_server_that_is_not_there_is_named(address):
    with pytest.raises(ConnectionError, match=f"No server answers at {address}: start it there \\(interp serve\\)") as caught:
        interopinterp.connect(address, timeout=20)
    assert caught.value.reason == "SERVER_UNREACHABLE"


@pytest.mark.parametrize("address", ["localhost:50051", "http://localhost:50051", "grpc://localhost", "grpc://", "unix://", ""])
def test_addresses_that_are_none_are_named(address):
    with pytest.raises(ValueError, match="is none of grpc://host:port"):
        interopinterp.connect(address)


def test_a_call_that_takes_too_long_is_given_up_and_the_model_stays(server):
    with interopinterp.connect(server.addresses["grpc-tcp"], timeout=0.5) as client:
        model = client.HookedTransformer(TINY | {"n_ctx": 4000})
        with pytest.raises(TimeoutError, match=r"connect\(address, timeout=seconds\)"):
            model.generate([[1, 2]], max_new_tokens=3900, do_sample=False, stop_at_eos=False, verbose=False)
        assert np.isfinite(np.asarray(model([[1, 2]]))).all()


def test_closed_clients_and_servers_that_went_are_named(tmp_path, tokens):
    other = Server(tmp_path)
    try:
        client, left = (interopinterp.connect(other.addresses["grpc-unix"]) for _ in range(2))
        model, closed = client.HookedTransformer(TINY), left.HookedTransformer(TINY)
        left.close()
        left.close()
        with pytest.raises(errors.FailedPreconditionError, match="This client of unix://.* was closed"):
            closed(tokens)
    finally:
        other.close()
    with pytest.raises(ConnectionError, match="No server answers at unix://"):
        model(tokens)


def test_a_client_that_is_closed_ends_the_calls_of_other_threads(server):
    client = interopinterp.connect(server.addresses["grpc-tcp"])
    model = client.HookedTransformer(TINY | {"n_ctx": 4000})
    raised = []

    def generate():
        try:
            model.generate([[1, 2]], max_new_tokens=3900, do_sample=False, stop_at_eos=False, verbose=False)
        except errors.InterpError as error:
            raised.append(error)

    thread = threading.Thread(target=generate)
    thread.start()
    thread.join(0.5)
    client.close()
    thread.join(20)
    assert not thread.is_alive() and len(raised) == 1, raised
