"""Calls, errors and callbacks, in this process."""

import threading
import time

import pytest

from interopinterp import errors


def measure(function, count=20_000) -> float:
    """Nanoseconds of a call, best of five."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(count):
            function()
        best = min(best, (time.perf_counter() - start) / count)
    return best * 1e9


def call_back(client, number: int, payload: bytes = b"") -> bytes:
    return client.call("door.CallBack", number.to_bytes(8, "little") + payload)


@pytest.mark.parametrize("payload", [b"", b"x", bytes(range(256)) * 40_000])
def test_bytes_come_back_as_they_went(client, payload):
    assert client.call("door.Ping", payload) == payload


def test_the_client_is_one_and_says_which_door_it_took(client):
    from interopinterp import _inproc

    assert _inproc.client() is client
    info = client.info()
    assert client.door == info["door"]
    assert info["runtime"].startswith(".NET 10")
    assert info["libtorch"]["Version"].startswith("2.10")


def test_latency(client, capsys):
    number = client.callback(lambda request: None)
    request = number.to_bytes(8, "little")
    ping, back = measure(lambda: client.call("door.Ping")), measure(lambda: client.call("door.CallBack", request))
    client.forget(number)
    with capsys.disabled():
        print(f"\n{client.door}: call {ping:.0f} ns, call with a callback {back:.0f} ns")
    assert ping < 100_000 and back < 200_000


def test_an_unknown_method_is_told_with_the_nearest_names(client):
    with pytest.raises(errors.NotFoundError) as caught:
        client.call("door.Pong")
    assert caught.value.reason == "UNKNOWN_METHOD"
    assert caught.value.suggestions[0] == "door.Ping"
    assert "'door.Pong'" in str(caught.value)
    assert isinstance(caught.value, LookupError)


def test_a_bad_request_is_a_value_error_with_a_reason(client):
    with pytest.raises(ValueError) as caught:
        client.call("door.MatMul", b"12345678")
    assert caught.value.reason == "BAD_REQUEST"
    assert caught.value.code == 3
    assert "InteropInterp" in caught.value.detail


def test_codes_are_those_of_grpc():
    assert {kind.code for kind in errors.InterpError.__subclasses__()} == {1, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16}
    assert type(errors.from_code(99, "NEW", "a code of tomorrow")) is errors.InterpError


def test_a_callback_runs_on_the_callers_thread(client):
    seen = []
    number = client.callback(lambda request: seen.append((threading.get_ident(), request)) or request[::-1])
    assert call_back(client, number, b"abc") == b"cba"
    thread = threading.Thread(target=lambda: seen.append(call_back(client, number, b"xyz")))
    thread.start()
    thread.join()
    assert seen == [(threading.get_ident(), b"abc"), (thread.ident, b"xyz"), b"zyx"]
    client.forget(number)


def test_a_callback_may_call_the_engine_again(client):
    def descend(request: bytes) -> bytes:
        depth = request[0]
        if depth == 0:
            return client.call("door.Ping", b"bottom")
        return call_back(client, number, bytes([depth - 1])) + bytes([depth])

    number = client.callback(descend)
    assert call_back(client, number, bytes([20])) == b"bottom" + bytes(range(1, 21))
    client.forget(number)


def test_what_a_callback_raises_comes_out_as_itself(client):
    class Mine(Exception):
        pass

    error = Mine("with state")

    def fail(request):
        raise error

    number = client.callback(fail)
    with pytest.raises(Mine) as caught:
        call_back(client, number)
    assert caught.value is error
    assert any(entry.name == "fail" for entry in caught.traceback)
    assert client.call("door.Ping", b"alive") == b"alive"
    client.forget(number)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_exceptions_that_are_no_errors_come_out_too(client, kind):
    def fail(request):
        raise kind

    number = client.callback(fail)
    with pytest.raises(kind):
        call_back(client, number)
    client.forget(number)


def test_an_error_of_the_engine_inside_a_callback_may_be_handled_there(client):
    def recover(request):
        with pytest.raises(errors.NotFoundError):
            client.call("door.Pong")
        with pytest.raises(ZeroDivisionError):
            call_back(client, divide)
        return b"recovered"

    divide = client.callback(lambda request: 1 // 0)
    number = client.callback(recover)
    assert call_back(client, number) == b"recovered"
    client.forget(number)
    client.forget(divide)


@pytest.mark.parametrize("answer", [5, "text", [1, 2]])
def test_a_callback_answers_in_bytes_or_not_at_all(client, answer):
    number = client.callback(lambda request: answer)
    with pytest.raises(TypeError):
        call_back(client, number)
    client.forget(number)


def test_a_callback_that_was_forgotten_is_an_error(client):
    number = client.callback(lambda request: b"")
    client.forget(number)
    with pytest.raises(KeyError):
        call_back(client, number)


def test_threads_call_and_are_called_side_by_side(client):
    number = client.callback(lambda request: request)
    wrong = []

    def work(name: int):
        for i in range(300):
            payload = f"{name}/{i}".encode() * 10
            if call_back(client, number, payload) != payload or client.call("door.Ping", payload) != payload:
                wrong.append(payload)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    client.forget(number)
