"""Signals, forks and exits: what a process goes through with the engine in it. Each in a fresh process, through both loaders."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from conftest import run

START = """
import os, signal, struct, sys, threading, time
import numpy as np
from interopinterp import _inproc, errors
client = _inproc.client()
def gemm(size, milliseconds):
    return client.call("door.Gemm", struct.pack("<qq", size, milliseconds))
"""


def script(body: str) -> str:
    return START + textwrap.dedent(body)


def test_ctrl_c_ends_a_long_call_and_leaves_the_engine_usable(door):
    child = subprocess.Popen([sys.executable, "-c", script("""
        for _ in range(2):
            print("ready", flush=True)
            try:
                gemm(256, 60_000)
                print("ended")
            except KeyboardInterrupt as error:
                print("interrupted", flush=True)
                assert client.call("door.Ping", b"alive") == b"alive"
                assert gemm(64, 20)
        """)], env=door, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    waits = []
    for _ in range(2):
        assert child.stdout.readline() == "ready\n", child.communicate()[1]
        time.sleep(0.3)
        start = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "interrupted\n"
        waits.append(time.monotonic() - start)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert max(waits) < 2, waits
    assert "ended" not in out


def test_ctrl_c_reaches_a_call_inside_a_callback_inside_a_call(door):
    child = subprocess.Popen([sys.executable, "-c", script("""
        def inner(request):
            print("ready", flush=True)
            gemm(256, 60_000)
        number = client.callback(inner)
        try:
            client.call("door.CallBack", number.to_bytes(8, "little"))
        except KeyboardInterrupt:
            print("interrupted", client.call("door.Ping", b"alive"))
        """)], env=door, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n", child.communicate()[1]
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert out == "interrupted b'alive'\n", err


def test_any_handlers_exception_comes_out_and_a_quiet_handler_does_not_disturb(door):
    out = run(script("""
        class Alarm(Exception):
            pass
        def ring(number, frame):
            seen.append(threading.current_thread() is threading.main_thread())
            if len(seen) == 3:
                signal.setitimer(signal.ITIMER_REAL, 0)
                raise Alarm("the third")
        seen = []
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        try:
            gemm(128, 30_000)
        except Alarm as error:
            print(error, seen)
        """), door)
    assert out == "the third [True, True, True]\n"


def test_handlers_outlive_the_start_of_dotnet(door):
    out = run("""
        import os, signal
        signal.signal(signal.SIGTERM, lambda number, frame: print("asked to end"))
        signal.signal(signal.SIGINT, lambda number, frame: print("interrupted"))
        from interopinterp import _inproc
        client = _inproc.client()
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        print(client.call("door.Ping", b"alive"))
        """, door)
    assert out == "asked to end\ninterrupted\nb'alive'\n"


def test_a_request_to_end_ends_the_process(door):
    child = subprocess.Popen([sys.executable, "-c", script("""
        print("ready", flush=True)
        gemm(128, 60_000)
        """)], env=door, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    child.terminate()
    assert child.wait(20) == -signal.SIGTERM
    child.stdout.close()


def test_after_a_fork_the_child_is_refused_and_ends_well_and_the_parent_goes_on(door):
    out = run(script("""
        import gc
        lent = np.arange(6.0)
        handle = client.put(lent)
        array, share = client.export(handle), client.dlpack(handle)
        child = os.fork()
        if child == 0:
            refused = 0
            for action in (lambda: client.call("door.Ping"), lambda: client.call("door.Unseen"), lambda: client.export(handle),
                           lambda: client.put(lent), lambda: client.info()):
                try:
                    action()
                except errors.FailedPreconditionError as error:
                    refused += error.reason == "FORKED" and "spawn" in str(error)
            client.release(handle)
            total = array.sum()
            del array, share
            gc.collect()
            print("child", refused, total, flush=True)
            sys.exit(7)
        status = os.waitpid(child, 0)[1]
        print("parent", os.waitstatus_to_exitcode(status), client.call("door.Ping", b"alive"), array.sum())
        """), door, timeout=60)
    assert out == "child 5 15.0\nparent 7 b'alive' 15.0\n"


def test_a_pool_of_forked_workers_ends_well(door):
    out = run(script("""
        import multiprocessing
        def work(n):
            try:
                client.call("door.Ping")
            except errors.FailedPreconditionError as error:
                return error.reason
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(work, range(4)))
        print(client.call("door.Ping", b"alive"))
        """), door, timeout=60)
    assert out == "['FORKED', 'FORKED', 'FORKED', 'FORKED']\nb'alive'\n"


@pytest.mark.parametrize("ending", [
    "arrays = [client.export(client.put(np.ones(1000))) for _ in range(200)]; share = client.dlpack(client.put(np.ones(3)))",
    "threading.Thread(target=gemm, args=(256, 100_000), daemon=True).start(); time.sleep(0.3)",
    "number = client.callback(lambda r: time.sleep(0.01) or client.call('door.CallBack', r[:8] + r)); "
    "threading.Thread(target=lambda: client.call('door.CallBack', number.to_bytes(8, 'little')), daemon=True).start(); time.sleep(0.2)",
], ids=["with tensors about", "with a long call in a daemon thread", "with callbacks in a daemon thread"])
def test_the_process_ends_well(door, ending):
    start = time.monotonic()
    run(script(ending), door, timeout=60)
    assert time.monotonic() - start < 20
