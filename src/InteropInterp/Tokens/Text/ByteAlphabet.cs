namespace InteropInterp.Tokens.Text;

/// <summary>
/// GPT-2's printable stand-ins for the 256 bytes: printable Latin-1 stands for itself, the other 68 bytes are counted up from
/// U+0100 (space is "Ġ"). Source: bytes_to_unicode of openai/gpt-2, encoder.py.
/// </summary>
internal static class ByteAlphabet
{
    private static readonly char[] CharOfByte = Build();

    // -1 where a character stands for no byte.
    private static readonly short[] ByteOfChar = Invert(CharOfByte);

    public static char Space => CharOfByte[' '];

    public static char ToChar(byte value) => CharOfByte[value];

    public static bool TryToByte(char c, out byte value)
    {
        var found = c < ByteOfChar.Length ? ByteOfChar[c] : (short)-1;
        value = (byte)found;
        return found >= 0;
    }

    private static char[] Build()
    {
        var table = new char[256];
        var next = 256;
        for (var b = 0; b < 256; b++)
            table[b] = b is >= '!' and <= '~' or >= 0xA1 and <= 0xAC or >= 0xAE ? (char)b : (char)next++;
        return table;
    }

    private static short[] Invert(char[] table)
    {
        var inverse = new short[table.Max() + 1];
        Array.Fill(inverse, (short)-1);
        for (var b = 0; b < table.Length; b++) inverse[table[b]] = (short)b;
        return inverse;
    }
}
