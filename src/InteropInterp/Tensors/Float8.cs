namespace InteropInterp.Tensors;

/// <summary>
/// The eight-bit floating-point types as tables of their 256 values, all exact in float32. E5M2 and E4M3: arXiv:2209.05433; the
/// FNUZ forms (one NaN at 0x80, no infinity, no -0, a bias one larger): arXiv:2206.02915; E8M0: Open Compute's Microscaling
/// Formats 1.0, section 5.4.1.
/// </summary>
internal static class Float8
{
    private static readonly Dictionary<StorageType, float[]> Tables = new()
    {
        [StorageType.F8_E5M2] = Table(b => (b & 0x7f) switch
        {
            0x7c => Signed(b, float.PositiveInfinity),
            > 0x7c => Signed(b, float.NaN),
            _ => Number(b, mantissaBits: 2, bias: 15),
        }),
        [StorageType.F8_E4M3] = Table(b => (b & 0x7f) == 0x7f ? Signed(b, float.NaN) : Number(b, mantissaBits: 3, bias: 7)),
        [StorageType.F8_E5M2FNUZ] = Table(b => b == 0x80 ? float.NaN : Number(b, mantissaBits: 2, bias: 16)),
        [StorageType.F8_E4M3FNUZ] = Table(b => b == 0x80 ? float.NaN : Number(b, mantissaBits: 3, bias: 8)),
        [StorageType.F8_E8M0] = Table(b => b == 0xff ? float.NaN : MathF.ScaleB(1, b - 127)),
    };

    public static bool Has(StorageType type) => Tables.ContainsKey(type);

    public static void Decode(StorageType type, ReadOnlySpan<byte> codes, Span<float> numbers)
    {
        ReadOnlySpan<float> table = Tables[type];
        for (var i = 0; i < codes.Length; i++) numbers[i] = table[codes[i]];
    }

    private static float[] Table(Func<int, float> value) => Enumerable.Range(0, 256).Select(value).ToArray();

    private static float Number(int code, int mantissaBits, int bias)
    {
        var mantissa = code & ((1 << mantissaBits) - 1);
        var exponent = (code & 0x7f) >> mantissaBits;
        // Exponent 0 has no implicit leading one and the scale of exponent 1.
        var significand = exponent == 0 ? mantissa : mantissa | 1 << mantissaBits;
        return Signed(code, MathF.ScaleB(significand, Math.Max(exponent, 1) - bias - mantissaBits));
    }

    private static float Signed(int code, float magnitude) => MathF.CopySign(magnitude, (code & 0x80) != 0 ? -1 : 1);
}
