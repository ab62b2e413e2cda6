"""The engine beside torch 2.13 in one process: both import orders, through both loaders."""

import pytest

from conftest import run

BESIDE = """
import struct, sys, threading
order = sys.argv[1]
import numpy as np
from interopinterp import _inproc, errors
if order == "torch first":
    import torch
    torch.ones(3) @ torch.ones(3)
client = _inproc.client()
if order == "ours first":
    client.call("door.Gemm", struct.pack("<qq", 64, 20))
    import torch
assert torch.__version__.startswith("2.13"), torch.__version__
info = client.info()["libtorch"]
assert info["IsPrivate"] and info["Version"].startswith("2.10"), info

def matmul(a, b):
    x, y = client.put(a), client.put(b)
    z = int.from_bytes(client.call("door.MatMul", struct.pack("<qq", x, y)), "little")
    product = client.export(z)
    for handle in (x, y, z):
        client.release(handle)
    return product

# Products of both agree with numpy.
random = np.random.default_rng(1)
for dtype, tolerance in (("f4", 2e-4), ("f8", 1e-11)):
    a, b = random.standard_normal((200, 300)).astype(dtype), random.standard_normal((300, 100)).astype(dtype)
    exact = a.astype("f8") @ b.astype("f8")
    assert np.abs(matmul(a, b) - exact).max() < tolerance
    assert np.abs((torch.from_numpy(a) @ torch.from_numpy(b)).numpy() - exact).max() < tolerance
print("products")

# An error of either stays its own.
for _ in range(3):
    try:
        torch.ones(3, 4) @ torch.ones(5, 6)
    except RuntimeError as error:
        assert "mat1 and mat2" in str(error)
    try:
        matmul(np.ones((3, 4)), np.ones((5, 6)))
    except errors.InvalidArgumentError as error:
        assert error.reason == "BAD_MATMUL" and "cannot be multiplied" in error.detail, error.detail
    else:
        raise AssertionError("the shapes do not fit")
print("errors")

# Autograd in torch on four threads while the engine multiplies on the same ones.
wrong = []
def work(seed):
    torch.manual_seed(seed)
    for _ in range(60):
        x = torch.randn(48, 48, requires_grad=True)
        y = (x @ x).relu()
        y.sum().backward()
        data = x.detach().numpy()
        ours = matmul(data, data)
        gate = (data @ data > 0).astype("f4")
        gradient = gate @ data.T + data.T @ gate
        if np.abs(ours - (x @ x).detach().numpy()).max() > 1e-4 or np.abs(gradient - x.grad.numpy()).max() > 1e-3:
            wrong.append(seed)
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not wrong, wrong
print("threads")

# torch over our memory, and ours over torch's.
array = np.arange(12.0, dtype="f4").reshape(3, 4)
handle = client.put(array)
tensor = torch.from_dlpack(client.dlpack(handle))
assert tensor.shape == (3, 4) and tensor.dtype == torch.float32
tensor[1, 2] = 60
assert array[1, 2] == 60 and client.export(handle)[1, 2] == 60
client.release(handle)
del array
assert tensor.sum().item() == sum(range(12)) + 54
mine = torch.arange(6, dtype=torch.bfloat16).reshape(2, 3)
handle = client.put(mine)
try:
    client.export(handle)
except errors.InvalidArgumentError as error:
    assert error.reason == "NO_NUMPY_TYPE"
bits = client.export(handle, raw=True)
assert bits.dtype == np.uint16 and bits[1, 2] == 0x40A0, bits
bits[0, 0] = 0x3F80
assert mine[0, 0].item() == 1
back = torch.from_dlpack(client.dlpack(handle))
assert back.dtype == torch.bfloat16 and back.data_ptr() == mine.data_ptr()
client.release(handle)
print("memory")

# Giving torch's memory back takes the GIL, which whoever exports holds: neither may wait for the other.
held = client.put(np.zeros(4, "f4"))
for _ in range(3000):
    client.release(client.put(torch.zeros(4)))
    client.export(held)
client.release(held)
print("releases")

mapped = {line.split()[-1] for line in open("/proc/self/maps") if "libtorch_cpu.so" in line or "libxorch_cpu.so" in line}
assert len(mapped) == 2, mapped
"""


@pytest.mark.parametrize("order", ["torch first", "ours first"])
def test_torch_and_the_engine_live_side_by_side(peers, door, order):
    out = run(BESIDE, door, order, python=peers, timeout=180)
    assert out.split() == ["products", "errors", "threads", "memory", "releases"]


AT_THE_END = """
import torch
from interopinterp import _inproc
client = _inproc.client()
for handle in [client.put(torch.zeros(4)) for _ in range(60000)]:
    client.release(handle)
"""


def test_torchs_memory_can_be_given_back_at_the_very_end(peers, door):
    """The engine gives it back on a thread of its own, which takes the GIL: a thread that did so after Python's end would abort."""
    run(AT_THE_END, door, python=peers)
