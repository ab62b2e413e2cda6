namespace InteropInterp.Python;

/// <summary>
/// What a method does: request bytes in (valid until it returns), reply bytes out. Runs on the caller's thread; throws
/// <see cref="InterpException"/>; loops ask <see cref="Native.Devices.Interrupts.Check"/>, or offer the lease, which does.
/// </summary>
public delegate byte[] CallHandler(ReadOnlySpan<byte> request, CallContext context);

/// <summary>The methods a door answers. A name is looked up once, by its number afterwards.</summary>
public sealed class CallTable
{
    private readonly Dictionary<string, int> numbers = [];
    private readonly List<CallHandler> handlers = [];

    /// <summary>The methods' names.</summary>
    public IReadOnlyCollection<string> Names => numbers.Keys;

    /// <summary>Adds a method; for example <c>interopinterp.v1.ModelService/LoadModel</c>.</summary>
    public CallTable Add(string method, CallHandler handler)
    {
        numbers.Add(method, handlers.Count);
        handlers.Add(handler);
        return this;
    }

    /// <summary>The number of a method, for this process.</summary>
    /// <exception cref="InterpException">UNKNOWN_METHOD, with the nearest names.</exception>
    public int NumberOf(string method) => numbers.TryGetValue(method, out var number)
        ? number
        : throw InterpException.Unknown("UNKNOWN_METHOD", "method", method, Names);

    /// <exception cref="InterpException">UNKNOWN_METHOD.</exception>
    internal CallHandler this[int number] => (uint)number < (uint)handlers.Count
        ? handlers[number]
        : throw InterpException.NotFound("UNKNOWN_METHOD", $"No method has number {number}; there are {handlers.Count}.");
}
