using System.Runtime.InteropServices;
using System.Text;
using InteropInterp.Native;
using InteropInterp.Native.Interop;

namespace InteropInterp.Python;

/// <summary>
/// The door as C functions, for ctypes. <see cref="Table"/> hands out all of them at once; the layouts are those of
/// python/interopinterp/_inproc/abi.py. Whatever happens inside, nothing is thrown out of here.
/// </summary>
public static unsafe class Exports
{
    /// <summary>Of the layouts and meanings below; the two sides must agree.</summary>
    private const int Revision = 1;

    private const string Loaded = "InteropInterp.Python.Door";
    private static Door? door;

    /// <summary>The door of this process, once it is open.</summary>
    internal static Door? Door => door;

    [StructLayout(LayoutKind.Sequential)]
    internal struct Functions
    {
        public IntPtr Open, Number, Call, Free, Export, Import, Release, Borrowed, Deleter, CapsuleDestructor, Close;
    }

    /// <summary>What a call leaves: bytes to be freed, how many borrowed arrays are done with, an exception to raise.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Reply
    {
        public byte* Data;
        public int Length;
        public int Returned;
        public PendingException Pending;
    }

    /// <summary>Fills in the functions' addresses. The entry point of the hostfxr loader.</summary>
    /// <returns>0, or this side's revision where the other side's is another.</returns>
    [UnmanagedCallersOnly]
    public static int Table(IntPtr functions, int size, int revision) => Fill(functions, size, revision);

    internal static int Fill(IntPtr functions, int size, int revision)
    {
        if (size != sizeof(Functions) || revision != Revision) return Revision;
        *(Functions*)functions = new Functions
        {
            Open = (IntPtr)(delegate* unmanaged<PythonFunctions*, byte*, byte*, int, int, Reply*, int>)&Open,
            Number = (IntPtr)(delegate* unmanaged<byte*, Reply*, int>)&Number,
            Call = (IntPtr)(delegate* unmanaged<int, byte*, int, Reply*, int>)&Call,
            Free = (IntPtr)(delegate* unmanaged<byte*, void>)&Free,
            Export = (IntPtr)(delegate* unmanaged<long, IntPtr*, Reply*, int>)&Export,
            Import = (IntPtr)(delegate* unmanaged<IntPtr, long*, Reply*, int>)&Import,
            Release = (IntPtr)(delegate* unmanaged<long, void>)&Release,
            Borrowed = (IntPtr)(delegate* unmanaged<long*, int, int>)&Returned,
            Deleter = Python.Borrowed.Deleter,
            CapsuleDestructor = (IntPtr)(delegate* unmanaged<IntPtr, void>)&DestroyCapsule,
            Close = (IntPtr)(delegate* unmanaged<int, void>)&Close,
        };
        return 0;
    }

    /// <summary>Loads libtorch and opens the door. A second door in the process, in whatever load context, is refused.</summary>
    [UnmanagedCallersOnly]
    private static int Open(PythonFunctions* python, byte* name, byte* folder, int isPrivate, int threads, Reply* reply)
    {
        try
        {
            // Each loader has an assembly load context of its own, and so its own statics: this is the process's.
            if (AppContext.GetData(Loaded) is string other)
                throw InterpException.Precondition("ALREADY_LOADED", $"The engine is already in this process, loaded through {other}.");
            var options = new LibTorchOptions { Folder = Text(folder), Private = isPrivate != 0, Threads = threads };
            var libTorch = LibTorch.Load(options);
            var table = DoorMethods.Register(new CallTable());
            door = new Door(Text(name), table, new PythonHost(*python), libTorch);
            ProtocolMethods.Register(table, door);
            AppContext.SetData(Loaded, door.Name);
            return Succeed(reply);
        }
        catch (Exception e)
        {
            return Fail(e, reply);
        }
    }

    [UnmanagedCallersOnly]
    private static int Number(byte* method, Reply* reply)
    {
        try
        {
            var number = (door ?? throw NotOpen()).NumberOf(Text(method));
            Succeed(reply);
            return number;
        }
        catch (Exception e)
        {
            return -Fail(e, reply);
        }
    }

    [UnmanagedCallersOnly]
    private static int Call(int method, byte* request, int length, Reply* reply)
    {
        if (door is null) return Fail(NotOpen(), reply);
        var code = door.Call(method, new ReadOnlySpan<byte>(request, length), out var bytes, out var pending);
        Answer(reply, bytes);
        reply->Pending = pending;
        return code;
    }

    [UnmanagedCallersOnly]
    private static void Free(byte* data) => NativeMemory.Free(data);

    /// <summary>A DLManagedTensor over a tensor's memory; its deleter may be called on any thread and never waits.</summary>
    [UnmanagedCallersOnly]
    private static int Export(long handle, IntPtr* managed, Reply* reply)
    {
        try
        {
            var open = door ?? throw NotOpen();
            using var tensor = open.Tensors.Get(open.Session, handle);
            *managed = DlPack.Export(tensor);
            return Succeed(reply);
        }
        catch (Exception e)
        {
            return Fail(e, reply);
        }
    }

    /// <summary>A handle to a tensor over the memory of a DLManagedTensor, which it owns from here on.</summary>
    [UnmanagedCallersOnly]
    private static int Import(IntPtr managed, long* handle, Reply* reply)
    {
        try
        {
            var open = door ?? throw NotOpen();
            *handle = open.Tensors.Add(open.Session, DlPack.Import(managed)).Number;
            return Succeed(reply);
        }
        catch (Exception e)
        {
            return Fail(e, reply);
        }
    }

    [UnmanagedCallersOnly]
    private static void Release(long handle) => door?.Tensors.Release(handle);

    [UnmanagedCallersOnly]
    private static int Returned(long* numbers, int room) => Python.Borrowed.Take(numbers, room);

    /// <summary>Of a DLPack capsule: calls the deleter of a tensor that nobody took.</summary>
    [UnmanagedCallersOnly]
    private static void DestroyCapsule(IntPtr capsule) => DlPack.Free(door?.Host.Untaken(capsule) ?? IntPtr.Zero);

    [UnmanagedCallersOnly]
    private static void Close(int milliseconds) => door?.Close(milliseconds);

    internal static InterpException NotOpen() =>
        InterpException.Precondition("NOT_OPEN", "The door is not open: interopinterp._inproc.client() opens it.");

    private static int Succeed(Reply* reply)
    {
        Answer(reply, []);
        return 0;
    }

    private static int Fail(Exception error, Reply* reply)
    {
        Answer(reply, ErrorReply.Write(error, out var code));
        return code;
    }

    private static void Answer(Reply* reply, byte[] bytes)
    {
        *reply = new Reply { Length = bytes.Length, Returned = Python.Borrowed.Count };
        if (bytes.Length == 0) return;
        reply->Data = (byte*)NativeMemory.Alloc((nuint)bytes.Length);
        bytes.CopyTo(new Span<byte>(reply->Data, bytes.Length));
    }

    private static string Text(byte* text) => text is null
        ? ""
        : Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));
}
