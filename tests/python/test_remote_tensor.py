"""Tensors on a server: what moves, and when."""

import numpy as np
import pytest

from interopinterp import _pb as pb
from interopinterp._transport.remote_tensor import RemoteTensor

HELD = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)


class Server:
    """Reads out of an array and counts."""

    door = "grpc://nowhere"

    def __init__(self):
        self.moved = 0
        self.forgotten = []

    def read(self, ref, ranges=()):
        part = HELD[tuple(slice(*r) for r in ranges)].copy()
        self.moved += part.size
        return part

    def forget(self, name):
        self.forgotten.append(name)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def tensor(server):
    return RemoteTensor(server, pb.Tensor(ref=pb.TensorRef(name="tensors/7", data_type=pb.DATA_TYPE_FLOAT32, shape=HELD.shape)))


@pytest.mark.parametrize("index", [
    0, -1, (1, 2), (slice(None), 1), (0, slice(1, 3), slice(None, None, 2)), (..., 3), (slice(None), -1, ..., slice(1, 4)), slice(1, None),
    (0, 1, 2, 3)],
    ids=str)
def test_indexing_moves_only_what_it_selects(server, tensor, index):
    assert (tensor[index] == HELD[index]).all() and np.shape(tensor[index]) == HELD[index].shape
    # Each of the two looks above moved the part.
    assert server.moved == 2 * HELD[index].size and not tensor.is_fetched


@pytest.mark.parametrize("index", [(slice(None, None, -1),), ([0, 1, 0],), (slice(None), None), (HELD > 50,), (slice(3, 3),)],
                         ids=lambda i: type(i[0]).__name__)
def test_what_a_server_cannot_cut_is_cut_here(server, tensor, index):
    assert (tensor[index] == HELD[index]).all() and tensor[index].shape == HELD[index].shape
    assert server.moved == HELD.size


def test_it_stands_for_its_array_in_every_expression(server, tensor):
    assert tensor.shape == (2, 3, 4, 5) and tensor.ndim == 4 and len(tensor) == 2 and tensor.dtype == np.float32
    assert "RemoteTensor(shape=[2, 3, 4, 5]" in repr(tensor) and server.moved == 0
    with pytest.raises(IndexError):
        tensor[5]
    assert np.allclose(tensor + 1, HELD + 1) and np.allclose(2 - tensor, 2 - HELD) and np.allclose(HELD * tensor, HELD**2)
    assert np.allclose(tensor @ np.ones(5, np.float32), HELD.sum(-1)) and (tensor > 7).sum() == (HELD > 7).sum() and (-tensor).max() == 0
    assert np.allclose(np.einsum("abcd->ad", tensor), HELD.sum((1, 2))) and tensor.mean() == HELD.mean()
    assert float(tensor[0, 0, 0, 1]) == 1 and np.asarray(tensor, np.float64).dtype == np.float64
    assert server.moved == HELD.size, "the whole is fetched once"
    tensor[0] = 0
    assert tensor[0].sum() == 0 and HELD[0].sum() != 0, "edits stay on this side"


def test_it_is_let_go_with_its_last_reference(server):
    tensor = RemoteTensor(server, pb.Tensor(ref=pb.TensorRef(name="tensors/8", data_type=pb.DATA_TYPE_FLOAT32, shape=HELD.shape)))
    also = tensor
    del tensor
    assert server.forgotten == []
    del also
    assert server.forgotten == ["tensors/8"]


def test_small_tensors_come_with_the_response():
    class Decoding(Server):
        def decoded(self, data):
            return np.frombuffer(data.data, np.float32).reshape(tuple(data.shape)).copy()

    tensor = RemoteTensor(Decoding(),
                          pb.Tensor(value=pb.TensorData(data_type=pb.DATA_TYPE_FLOAT32, shape=[2], data=np.float32([1, 2]).tobytes())))
    assert tensor.is_fetched and tensor[1] == 2 and tensor.ref is None
