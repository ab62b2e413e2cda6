"""Tensors cross without a copy, in this process."""

import gc
import struct
import sys
import threading
import time
import weakref

import numpy as np
import pytest

from interopinterp import errors


def until(condition, seconds=10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def handles(client) -> int:
    return client.info()["handles"]


def matmul(client, a: int, b: int) -> int:
    return int.from_bytes(client.call("door.MatMul", struct.pack("<qq", a, b)), "little")


TYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?", "c8", "c16"]


@pytest.mark.parametrize("dtype", TYPES)
def test_an_array_goes_in_and_comes_out_over_the_same_memory(client, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    handle = client.put(array)
    out = client.export(handle)
    assert out.dtype == array.dtype and out.shape == array.shape and out.strides == array.strides
    assert out.flags.writeable and np.shares_memory(array, out)
    assert np.array_equal(out, array)
    out[1, 2, 3] = 1
    assert array[1, 2, 3] == 1
    array[0, 0, 0] = 1
    assert out[0, 0, 0] == 1
    client.release(handle)


@pytest.mark.parametrize("view", [
    lambda a: a.T, lambda a: a[:, 1::2], lambda a: a[1], lambda a: np.broadcast_to(a, (2, 4, 6)).copy()[:, :, ::3], lambda a: a[:0],
    lambda a: a[2, 3, None, None], lambda a: np.array(a[2, 3])])
def test_shapes_and_strides_are_kept(client, view):
    array = view(np.arange(24.0).reshape(4, 6))
    handle = client.put(array)
    out = client.export(handle)
    assert out.shape == array.shape and np.array_equal(out, array)
    if array.size:
        assert np.shares_memory(out, array)
    client.release(handle)


def test_what_cannot_be_lent_is_copied_or_refused(client):
    base = np.arange(6.0)
    frozen = base.copy()
    frozen.flags.writeable = False
    unaligned = np.frombuffer(bytearray(b"\0" + base.tobytes()), np.uint8)[1:].view("f8")
    for array in (base[::-1], frozen, unaligned, base.astype(">f8")):
        handle = client.put(array)
        out = client.export(handle)
        assert np.array_equal(out, array) and not np.shares_memory(out, array)
        client.release(handle)
        with pytest.raises(errors.InvalidArgumentError) as caught:
            client.put(array, copy=False)
        assert caught.value.reason == "COPY_NEEDED"
    handle = client.put(base, copy=True)
    assert not np.shares_memory(client.export(handle), base)
    client.release(handle)


@pytest.mark.parametrize("dtype", ["U4", "O", "u4", "M8[s]", "g", "G", "S3"])
def test_element_types_that_no_tensor_has_are_refused(client, dtype):
    array = np.zeros(2, dtype)
    with pytest.raises(errors.InvalidArgumentError) as caught:
        client.put(array)
    assert caught.value.reason == "NO_TENSOR_TYPE"


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_engine_computes_on_lent_memory(client, dtype):
    random = np.random.default_rng(0)
    a, b = random.standard_normal((40, 30)).astype(dtype), random.standard_normal((30, 50)).astype(dtype)
    x, y = client.put(a), client.put(b)
    z = matmul(client, x, y)
    product = client.export(z)
    assert product.dtype == dtype
    np.testing.assert_allclose(product, a @ b, rtol=0, atol=1e-12 if dtype == "f8" else 1e-4)
    for handle in (x, y, z):
        client.release(handle)
    # The array holds its own share.
    np.testing.assert_allclose(product, a @ b, rtol=0, atol=1e-4)


def test_a_lent_array_lives_as_long_as_a_tensor_uses_it(client):
    array = np.ones((3, 3))
    watch = weakref.ref(array)
    handle = client.put(array)
    out = client.export(handle)
    del array
    gc.collect()
    client.release(handle)
    assert watch() is not None and out[2, 2] == 1
    del out
    assert until(lambda: client.call("door.Ping") == b"" and watch() is None), "the array is kept for ever"


def test_a_lent_array_may_leave_by_dlpack_and_comes_back_last(client):
    array = np.ones(4)
    references = sys.getrefcount(array)
    handle = client.put(array)
    share = client.dlpack(handle)
    assert share.__dlpack_device__() == (1, 0)
    client.release(handle)
    capsule = share.__dlpack__()
    with pytest.raises(BufferError):
        share.__dlpack__()
    assert sys.getrefcount(array) > references
    del capsule, share  # nobody took it
    assert until(lambda: client.call("door.Ping") == b"" and sys.getrefcount(array) == references)


def test_a_capsule_goes_in_and_its_maker_gets_it_back(client):
    array = np.arange(5.0)
    handle = client.put(array)

    class Other:
        def __dlpack__(self):
            return client.dlpack(handle).__dlpack__()

    second = client.put(Other())
    assert np.shares_memory(client.export(second), array)
    with pytest.raises(errors.InvalidArgumentError):
        client.put(Other(), copy=True)
    client.release(handle)
    client.release(second)


def test_a_handle_that_is_released_is_unknown_and_releasing_twice_does_no_harm(client):
    handle = client.put(np.ones(2))
    for _ in range(3):
        client.release(handle)
    assert until(lambda: handles(client) >= 0 and not _known(client, handle))
    with pytest.raises(errors.NotFoundError) as caught:
        client.export(handle)
    assert caught.value.reason == "UNKNOWN_TENSOR"


def _known(client, handle: int) -> bool:
    try:
        client.export(handle)
        return True
    except errors.NotFoundError:
        return False


def test_nothing_leaks(client):
    gc.collect()
    before, lent = client.info(), len(client._lent)
    for _ in range(300):
        handle = client.put(np.ones((16, 16), "f4"))
        product = matmul(client, handle, handle)
        client.export(product)
        client.dlpack(product).__dlpack__()
        client.release(handle)
        client.release(product)
    gc.collect()
    assert until(lambda: (client.info()["handles"], client.info()["live_tensors"]) == (before["handles"], before["live_tensors"]))
    assert until(lambda: client.call("door.Ping") == b"" and len(client._lent) == lent)


def test_destructors_do_not_wait_for_the_engine_whatever_thread_they_run_on(client):
    """A long computation holds the lease in another thread; arrays and handles go at full speed meanwhile."""
    busy = threading.Thread(target=client.call, args=("door.Gemm", struct.pack("<qq", 1024, 1500)))
    busy.start()
    handle = client.put(np.ones((4, 4), "f4"))
    slowest = 0.0

    def work():
        nonlocal slowest
        for _ in range(200):
            array, other = client.export(handle), client.put(np.ones(3))
            start = time.perf_counter()
            del array
            client.release(other)
            slowest = max(slowest, time.perf_counter() - start)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    still_busy = busy.is_alive()
    busy.join(30)
    client.release(handle)
    assert still_busy, "the computation ended too early to tell"
    assert slowest < 0.5
