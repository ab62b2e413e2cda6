"""Arrays of tensors that lie on another device than numpy can read."""

import struct
import types

import numpy as np
import pytest

import interopinterp as ii
from interopinterp import _callbacks, errors
from interopinterp import _pb as pb
from interopinterp._inproc import memory


def test_a_copy_for_the_cpu_shares_nothing(client):
    array = np.arange(6.0).reshape(2, 3)
    handle = client.put(array)
    copy, = struct.unpack("<q", client.call("door.ToCpu", struct.pack("<q", handle)))
    out = client.export(copy)
    assert np.array_equal(out, array) and not np.shares_memory(out, array)
    client.release(handle)
    client.release(copy)


def test_what_numpy_cannot_read_is_exported_as_a_copy(client, monkeypatch):
    array = np.arange(6.0).reshape(2, 3)
    handle, before = client.put(array), client.info()["handles"]
    seen = []

    def on_cpu(share):
        seen.append(share)
        return len(seen) > 1  # the first is asked: it lies elsewhere

    monkeypatch.setattr(memory.Export, "on_cpu", property(on_cpu))
    out = client.export(handle)
    assert np.array_equal(out, array) and not np.shares_memory(out, array)
    assert client.info()["handles"] == before
    client.release(handle)


@pytest.mark.parametrize("device, hook, replaces", [
    ("cuda:0", lambda x: x.__imul__(2), True),  # in place, and returned
    ("cuda:0", lambda x: np.copyto(x, 3), True),  # in place
    ("cuda:0", lambda x: None, False),
    ("cuda:0", lambda x: x + 1, True),
    ("cpu", lambda x: np.copyto(x, 3), False),  # it is the engine's memory
    ("cpu", lambda x: x + 1, True)])
def test_what_a_hook_writes_into_a_copy_is_sent_back(device, hook, replaces):
    value, sent = np.ones((2, 2), np.float32), []

    def lend(array):
        sent.append(array)
        return pb.Tensor(ref=pb.TensorRef(name="tensors/9")), "tensors/9"

    transport = types.SimpleNamespace(borrow=lambda ref: value, lend=lend)
    scope = types.SimpleNamespace(model=types.SimpleNamespace(transport=transport), loans=types.SimpleNamespace(callback=lambda call: call))
    call = _callbacks._register(scope, None, hook)
    answer = call(pb.HookCall(activation=pb.TensorRef(name="tensors/1", device=device)).SerializeToString())
    assert (answer is not None) == bool(sent) == replaces


def test_a_device_that_is_not_there_and_one_that_is_none():
    with pytest.raises(errors.FailedPreconditionError, match="cuda:7.*not present.*cpu"):
        ii.HookedTransformer.from_pretrained("induction", device="cuda:7")
    with pytest.raises(errors.InterpError, match="Unknown device 'cdua'.*'cuda'"):
        ii.HookedTransformer.from_pretrained("induction", device="cdua")
    with pytest.raises(errors.InvalidArgumentError, match="fifty times slower"):
        ii.HookedTransformer.from_pretrained("induction", dtype="bfloat16")
    assert ii.HookedTransformer.from_pretrained("induction", device="cpu:0").cfg.device == "cpu"
