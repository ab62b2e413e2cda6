using System.Collections.Concurrent;
using System.Text;
using TorchSharp;

namespace InteropInterp.Native.Interop;

/// <summary>
/// Calls any operator of libtorch by name through its stable C interface. Arguments of the schema type Scalar are the one kind
/// it cannot pass; TorchSharp has those operators.
/// </summary>
public static unsafe class Dispatcher
{
    private const int MaxArguments = 32;
    private static readonly ConcurrentDictionary<string, byte[]> Names = new();

    /// <summary>
    /// An argument: a tensor, a list of tensors, a number, a flag, or nothing. Optional numbers of the schema
    /// (<c>float?</c>) must be passed with <see cref="Some(double)"/>.
    /// </summary>
    public readonly struct Argument
    {
        internal enum Kind { None, Tensor, TensorList, Double, Int, Bool, SomeTensor, SomeDouble }

        internal Kind Type { get; private init; }
        internal torch.Tensor? Tensor { get; private init; }
        internal IReadOnlyList<torch.Tensor>? Tensors { get; private init; }
        internal double Number { get; private init; }
        internal long Integer { get; private init; }

        public static implicit operator Argument(torch.Tensor value) => new() { Type = Kind.Tensor, Tensor = value };
        public static implicit operator Argument(torch.Tensor[] value) => new() { Type = Kind.TensorList, Tensors = value };
        public static implicit operator Argument(double value) => new() { Type = Kind.Double, Number = value };
        public static implicit operator Argument(long value) => new() { Type = Kind.Int, Integer = value };
        public static implicit operator Argument(bool value) => new() { Type = Kind.Bool, Integer = value ? 1 : 0 };

        public static Argument None => default;

        /// <summary>A value for an argument of type <c>Tensor?</c>.</summary>
        public static Argument Some(torch.Tensor? value) => value is null ? None : new() { Type = Kind.SomeTensor, Tensor = value };

        /// <summary>A value for an argument of type <c>float?</c>.</summary>
        public static Argument Some(double value) => new() { Type = Kind.SomeDouble, Number = value };
    }

    /// <summary>Calls an operator that returns one tensor; the result belongs to the current scope.</summary>
    /// <exception cref="InterpException">LIBTORCH_CALL_FAILED: no such operator, or the operator refuses its arguments.</exception>
    public static torch.Tensor Call(string name, string overload, params ReadOnlySpan<Argument> arguments)
    {
        var stack = stackalloc ulong[MaxArguments];
        Invoke(name, overload, arguments, stack);
        return torch.Tensor.UnsafeCreateTensor((IntPtr)stack[0]);
    }

    /// <summary>Calls an operator that returns several tensors; the results belong to the current scope.</summary>
    /// <param name="count">How many it returns.</param>
    /// <exception cref="InterpException">LIBTORCH_CALL_FAILED: no such operator, or the operator refuses its arguments.</exception>
    public static torch.Tensor[] CallMany(string name, string overload, int count, params ReadOnlySpan<Argument> arguments)
    {
        var stack = stackalloc ulong[MaxArguments];
        Invoke(name, overload, arguments, stack);
        var results = new torch.Tensor[count];
        for (var i = 0; i < count; i++) results[i] = torch.Tensor.UnsafeCreateTensor((IntPtr)stack[i]);
        return results;
    }

    /// <summary>Calls an operator that returns nothing.</summary>
    /// <exception cref="InterpException">LIBTORCH_CALL_FAILED: no such operator, or the operator refuses its arguments.</exception>
    public static void Run(string name, string overload, params ReadOnlySpan<Argument> arguments)
    {
        var stack = stackalloc ulong[MaxArguments];
        Invoke(name, overload, arguments, stack);
    }

    // The call reads as many words as the operator's schema has arguments, so the stack is full-sized and zeroed: an argument
    // that is left out reads as "none".
    private static void Invoke(string name, string overload, ReadOnlySpan<Argument> arguments, ulong* stack)
    {
        if (arguments.Length > MaxArguments)
            throw InterpException.Invalid("TOO_MANY_ARGUMENTS",
                $"{name} is called with {arguments.Length} arguments; at most {MaxArguments}.");
        new Span<ulong>(stack, MaxArguments).Clear();
        for (var i = 0; i < arguments.Length; i++) stack[i] = Lower(arguments[i]);
        fixed (byte* n = Utf8(name), o = Utf8(overload))
        {
            NativeApi.Check(NativeApi.CallDispatcher(n, o, stack, NativeApi.WrittenFor), name);
        }
    }

    private static ulong Lower(Argument argument)
    {
        switch (argument.Type)
        {
            case Argument.Kind.Tensor: return NativeApi.Share(argument.Tensor!);
            case Argument.Kind.Double: return BitConverter.DoubleToUInt64Bits(argument.Number);
            case Argument.Kind.Int or Argument.Kind.Bool: return (ulong)argument.Integer;
            case Argument.Kind.SomeTensor: return Boxed(NativeApi.Share(argument.Tensor!));
            case Argument.Kind.SomeDouble: return Boxed(BitConverter.DoubleToUInt64Bits(argument.Number));
            case Argument.Kind.TensorList:
                IntPtr list;
                NativeApi.Check(NativeApi.NewList((nuint)argument.Tensors!.Count, &list), "torch_new_list_reserve_size");
                foreach (var tensor in argument.Tensors)
                    NativeApi.Check(NativeApi.PushBack(list, NativeApi.Share(tensor)), "torch_list_push_back");
                return (ulong)list;
            default: return 0;
        }
    }

    // An optional value travels as a pointer to a value that libtorch deletes once it has read it.
    private static ulong Boxed(ulong value)
    {
        var box = (ulong*)NativeApi.New(sizeof(ulong));
        *box = value;
        return (ulong)box;
    }

    private static byte[] Utf8(string name) => Names.GetOrAdd(name, n => [.. Encoding.UTF8.GetBytes(n), 0]);
}
