using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using InteropInterp.Native.Interop;

namespace InteropInterp.Streams.Sources;

/// <summary>
/// The header of a .npy file (numpy/lib/format.py): magic, version, a Python dictionary of type, order and shape, then the numbers.
/// </summary>
internal sealed partial record NpyHeader(string Type, IReadOnlyList<long> Shape, long DataStart)
{
    private const int PrefixLength = 10;

    /// <exception cref="InterpException">NPY_INVALID, which says what is wrong.</exception>
    public static NpyHeader Read(MappedFile file)
    {
        if (file.Length < PrefixLength || !IsMagic(file.Span(0, 6)))
            throw Invalid(file, "it does not begin as one");
        int major = file.Span(6, 1)[0], lengthBytes = major == 1 ? 2 : 4;
        if (major is < 1 or > 3) throw Invalid(file, $"its version is {major}; 1 to 3 are known");
        long start = 8 + lengthBytes;
        if (file.Length < start) throw Invalid(file, "its header is cut off");
        var length = major == 1 ? BinaryPrimitives.ReadUInt16LittleEndian(file.Span(8, 2)) : BinaryPrimitives.ReadUInt32LittleEndian(file.Span(8, 4));
        // A real header has some hundred bytes.
        if (length > 1 << 16 || start + length > file.Length) throw Invalid(file, $"its header says it has {length:N0} bytes");
        var text = Encoding.Latin1.GetString(file.Span(start, (int)length));
        if (TypePattern().Match(text) is not { Success: true } type || OrderPattern().Match(text) is not { Success: true } order
            || ShapePattern().Match(text) is not { Success: true } shape)
            throw Invalid(file, "its header has no type, order and shape");
        if (order.Groups[1].Value == "True") throw Invalid(file, "its order is Fortran's; save np.ascontiguousarray of it");
        var sizes = new List<long>();
        foreach (var size in shape.Groups[1].Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            sizes.Add(long.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out var value)
                ? value
                : throw Invalid(file, $"its shape is ({shape.Groups[1].Value})"));
        return new NpyHeader(type.Groups[1].Value, sizes, start + length);
    }

    private static bool IsMagic(ReadOnlySpan<byte> bytes) => bytes[0] == 0x93 && bytes[1..].SequenceEqual("NUMPY"u8);

    private static InterpException Invalid(MappedFile file, string why) => InterpException.DataLoss("NPY_INVALID", $"'{file.Path}' is no .npy file: {why}.");

    [GeneratedRegex(@"'descr'\s*:\s*'([<>|=]?[a-zA-Z]\d{0,4})'")]
    private static partial Regex TypePattern();

    [GeneratedRegex(@"'fortran_order'\s*:\s*(True|False)")]
    private static partial Regex OrderPattern();

    [GeneratedRegex(@"'shape'\s*:\s*\(([\d,\s]*)\)")]
    private static partial Regex ShapePattern();
}
