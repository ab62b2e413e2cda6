"""Calls into the engine, from any thread of this process."""

from __future__ import annotations

import atexit
import ctypes
import itertools
import json
import os
import struct
import threading
from ctypes import byref, c_int64, c_void_p, string_at
from typing import Callable

import numpy as np

from interopinterp._inproc import abi, memory
from interopinterp.errors import FailedPreconditionError, InvalidArgumentError, from_code

_CALLBACK_FAILED, _INTERRUPTED = -1, -2
_LARGEST = 2**31 - 1

_python = ctypes.pythonapi
_python.PyErr_Restore.argtypes = [c_void_p, c_void_p, c_void_p]
_python.PyErr_Restore.restype = None


class Fork:
    """Whether this process is a forked child of the one that opened the door."""

    happened = False


class Client:
    """The engine's door. There is one in a process: interopinterp._inproc.client().

    door  which loader brought .NET here: "hostfxr" or "pythonnet"
    """

    def __init__(self, door: str, table: Callable[[int, int, int], int], libtorch: str, private: bool, threads: int = 0):
        """table fills in abi.Functions; libtorch is an installed torch's lib folder or ""; private asks for private copies;
        threads is how many one operator uses, 0 for libtorch's choice."""
        functions = abi.Functions()
        revision = table(ctypes.addressof(functions), ctypes.sizeof(functions), abi.REVISION)
        if revision:
            raise FailedPreconditionError(
                "REVISION_MISMATCH", f"The Python package speaks revision {abi.REVISION} of the door, the .NET part revision {revision}: "
                "build both from one source (dotnet build src/InteropInterp.Python).")
        self.door = door
        self._fork = Fork()
        self._local = threading.local()
        self._numbers: dict[str, int] = {}
        self._callbacks: dict[int, Callable[[bytes], bytes | None]] = {}
        self._lent: dict[int, tuple] = {}
        self._next = itertools.count(1)
        self._call = abi.CALL(functions.call)
        self._number = abi.NUMBER(functions.number)
        self._free = abi.FREE(functions.free)
        self._export = abi.EXPORT(functions.export)
        self._import = abi.IMPORT(functions.import_)
        self._release = abi.RELEASE(functions.release)
        self._returned = abi.RETURNED(functions.returned)
        self._close = abi.CLOSE(functions.close)
        self._deleter = functions.deleter
        self._capsule_destructor = functions.capsule_destructor
        self._invoke_pointer = abi.CALL_BACK(self._invoke)
        host = abi.Host(
            abi.address(self._invoke_pointer), *(abi.address(getattr(_python, name)) for name in (
                "PyGILState_Ensure", "PyGILState_Release", "PyErr_CheckSignals", "PyErr_Fetch", "Py_DecRef", "PyCapsule_IsValid",
                "PyCapsule_GetPointer")), threading.main_thread().native_id)
        reply = abi.Reply()
        code = abi.OPEN(functions.open)(byref(host), door.encode(), os.fsencode(libtorch), private, threads, byref(reply))
        if code:
            raise self._error(code, reply)
        os.register_at_fork(after_in_child=self._after_fork)
        atexit.register(self._at_exit)

    def call(self, method: str, payload: bytes = b"") -> bytes:
        """Runs a method on this thread and returns its reply. Callbacks run on this thread too, in the middle of it.

        Raises InterpError; what a callback raised, as itself; and what a signal handler raised (KeyboardInterrupt).
        """
        number = self._numbers.get(method)
        if number is None:
            number = self._look_up(method)
        if self._fork.happened:
            self._refuse()
        length = len(payload)
        if length > _LARGEST:
            raise InvalidArgumentError("REQUEST_TOO_LARGE", f"A request has at most 2 GiB; this one has {length:,} bytes.")
        reply = abi.Reply()
        code = self._call(number, payload, length, byref(reply))
        if reply.returned:
            self._take_back()
        if code:
            raise self._error(code, reply)
        return self._bytes(reply)

    def info(self) -> dict:
        """The loader, the runtime, libtorch and its origin, live tensors, handles."""
        return json.loads(self.call("door.Info"))

    def export(self, handle: int, raw: bool = False) -> np.ndarray:
        """A tensor as a writable array over its own memory, which stays until the array is gone, released handle or not.

        A tensor of another device is copied: numpy reads the CPU's memory only.
        raw  gives the bits of a bfloat16 tensor as uint16; numpy has no such type.
        """
        share = self._share(handle)
        if share.on_cpu:
            return share.array(raw)
        copy, = struct.unpack("<q", self.call("door.ToCpu", struct.pack("<q", handle)))
        try:
            return self._share(copy).array(raw)
        finally:
            self.release(copy)

    def dlpack(self, handle: int) -> memory.Export:
        """A tensor for torch.from_dlpack(...), which then shares its memory; good for one use."""
        return self._share(handle)

    def put(self, array, copy: bool | None = None) -> int:
        """A handle to a tensor over an array's memory. The array stays alive as long as any tensor uses it.

        array  a numpy array or what numpy makes one of; or an object with __dlpack__ (a torch tensor), never copied
        copy   None: only where the memory cannot be used as it lies (read-only, reversed, unaligned); True: always;
               False: never, an array that would need it is refused
        """
        self._refuse_after_fork()
        self._take_back()
        if not isinstance(array, np.ndarray) and hasattr(array, "__dlpack__"):
            if copy:
                raise InvalidArgumentError("COPY_FIRST", "A tensor of another library is shared, not copied: copy it there.")
            capsule = array.__dlpack__()
            handle = self._take_in(memory.capsule_pointer(capsule))
            memory.take_capsule(capsule)
            return handle
        array = np.asarray(array)
        memory.check_type(array)
        if copy or not memory.lendable(array):
            if copy is False:
                raise InvalidArgumentError("COPY_NEEDED", "The array is read-only, reversed or unaligned: a tensor cannot use its memory.")
            array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=True)
        number = next(self._next)
        self._lent[number] = owners = memory.lend(array, number, self._deleter)
        try:
            return self._take_in(ctypes.addressof(owners[0]))
        except BaseException:
            del self._lent[number]
            raise

    def release(self, handle: int) -> None:
        """Lets a tensor go. Never waits: it may be called in a destructor, on any thread. Twice does no harm."""
        if not self._fork.happened:
            self._release(handle)
            self._take_back()

    def callback(self, function: Callable[[bytes], bytes | None]) -> int:
        """A number that methods take to call function(request) -> reply (None: empty) on the calling thread.

        It may call the engine again. What it raises ends the call, and comes out of it as itself.
        """
        number = next(self._next)
        self._callbacks[number] = function
        return number

    def forget(self, number: int) -> None:
        """Ends a callback."""
        self._callbacks.pop(number, None)

    def _invoke(self, number: int, request: int, length: int, reply: int, reply_length: int) -> int:
        try:
            answer = self._callbacks[number](string_at(request, length))
            if answer is not None and len(answer):
                # Kept until the next one: the other side copies it as soon as this returns.
                self._local.answer = answer = bytes(memoryview(answer))
                c_void_p.from_address(reply).value = ctypes.cast(answer, c_void_p).value
                ctypes.c_int.from_address(reply_length).value = len(answer)
            return 1
        except BaseException as error:
            self._local.error = error
            return 0

    def _error(self, code: int, reply: abi.Reply) -> BaseException:
        if code == _INTERRUPTED:
            # Raises here: PyDLL functions look for an exception when they return.
            _python.PyErr_Restore(reply.type, reply.value, reply.traceback)
        if code == _CALLBACK_FAILED:
            error, self._local.error = getattr(self._local, "error", None), None
            # Raised between the callback and its try block: only a signal handler does that, and ctypes has printed it.
            return error or KeyboardInterrupt()
        return from_code(code, **json.loads(self._bytes(reply)))

    def _bytes(self, reply: abi.Reply) -> bytes:
        if not reply.length:
            return b""
        data = string_at(reply.data, reply.length)
        self._free(reply.data)
        return data

    def _look_up(self, method: str) -> int:
        self._refuse_after_fork()
        reply = abi.Reply()
        number = self._number(method.encode(), byref(reply))
        if number < 0:
            raise self._error(-number, reply)
        self._numbers[method] = number
        return number

    def _share(self, handle: int) -> memory.Export:
        self._refuse_after_fork()
        managed, reply = c_void_p(), abi.Reply()
        code = self._export(handle, byref(managed), byref(reply))
        if code:
            raise self._error(code, reply)
        return memory.Export(managed.value, self._fork, self._capsule_destructor)

    def _take_in(self, managed: int) -> int:
        handle, reply = c_int64(), abi.Reply()
        code = self._import(managed, byref(handle), byref(reply))
        if code:
            raise self._error(code, reply)
        return handle.value

    def _take_back(self) -> None:
        numbers = (c_int64 * 64)()
        while count := self._returned(numbers, len(numbers)):
            for number in numbers[:count]:
                self._lent.pop(number, None)

    def _refuse_after_fork(self) -> None:
        if self._fork.happened:
            self._refuse()

    def _refuse(self):
        raise FailedPreconditionError(
            "FORKED", "This process is a fork of one that holds the engine, and .NET does not survive a fork: its handles are closed "
            "here. Start the process afresh (multiprocessing's 'spawn'), or connect to a server.")

    def _after_fork(self) -> None:
        self._fork.happened = True

    def _at_exit(self) -> None:
        if not self._fork.happened:
            self._close(2000)
