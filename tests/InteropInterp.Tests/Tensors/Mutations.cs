using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace InteropInterp.Tests.Tensors;

/// <summary>
/// Damages files in the ways that damage and malice do; the same seed gives the same files.
/// <c>lengthAt</c>: where the format has its first length or count.
/// </summary>
internal sealed class Mutations(int seed, int lengthAt)
{
    private static readonly string[] Extremes =
    [
        "0", "1", "7", "-1", "2147483647", "2147483648", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808",
        "18446744073709551615", "18446744073709551616", "1e308", "0.5", "null", "[]", "{}", "\"\"",
    ];

    private static readonly ulong[] Powers = Enumerable.Range(0, 64).Select(i => 1UL << i).ToArray();

    private readonly Random random = new(seed);

    /// <summary>One to four mutations of one of the seeds.</summary>
    public byte[] Next(IReadOnlyList<byte[]> seeds)
    {
        var file = seeds[random.Next(seeds.Count)];
        for (var i = random.Next(1, 5); i > 0; i--) file = Mutate(file, seeds[random.Next(seeds.Count)]);
        return file;
    }

    private byte[] Mutate(byte[] file, byte[] other) => random.Next(8) switch
    {
        0 => Flip(file),
        1 => file[..random.Next(file.Length + 1)],
        2 => Overwrite(file, lengthAt, BitConverter.GetBytes(Length(file))),
        3 => Splice(file, other),
        4 => Overwrite(file, random.Next(file.Length + 1), BitConverter.GetBytes(Extreme())),
        5 => ReplaceNumber(file),
        6 => Overwrite(file, random.Next(file.Length + 1), [(byte)"{}[]\",:0-\\ \0"[random.Next(12)]]),
        _ => [.. file, .. new byte[random.Next(1, 100)]],
    };

    private byte[] Flip(byte[] file)
    {
        var copy = (byte[])file.Clone();
        for (var i = random.Next(1, 9); i > 0 && copy.Length > 0; i--) copy[Biased(copy.Length)] ^= (byte)(1 << random.Next(8));
        return copy;
    }

    // Headers come first, and are where it hurts.
    private int Biased(int length) => random.Next(random.Next(2) == 0 ? Math.Min(length, 64) : length);

    private ulong Length(byte[] file) => random.Next(3) switch
    {
        0 => Extreme(),
        1 => (ulong)random.Next(file.Length + 16),
        _ => (file.Length < lengthAt + 8 ? 0 : BitConverter.ToUInt64(file, lengthAt)) + (ulong)random.Next(-9, 10),
    };

    private ulong Extreme() => Powers[random.Next(Powers.Length)] + (ulong)random.Next(-2, 3);

    private byte[] Splice(byte[] file, byte[] other)
    {
        var from = random.Next(other.Length + 1);
        var part = other.AsSpan(from, random.Next(Math.Min(300, other.Length - from) + 1));
        var at = random.Next(file.Length + 1);
        var removed = random.Next(Math.Min(300, file.Length - at) + 1);
        return [.. file.AsSpan(0, at), .. part, .. file.AsSpan(at + removed)];
    }

    private static byte[] Overwrite(byte[] file, int at, byte[] bytes)
    {
        var copy = (byte[])file.Clone();
        bytes.AsSpan(0, Math.Min(bytes.Length, Math.Max(0, copy.Length - at))).CopyTo(copy.AsSpan(Math.Min(at, copy.Length)));
        return copy;
    }

    // A number written in digits becomes another, and a leading length keeps up, so that what comes after the length is tested too.
    private byte[] ReplaceNumber(byte[] file)
    {
        var text = Encoding.Latin1.GetString(file);
        var numbers = Regex.Matches(text, "[0-9]+");
        if (numbers.Count == 0) return file;
        var number = numbers[random.Next(numbers.Count)];
        var near = long.TryParse(number.Value, CultureInfo.InvariantCulture, out var value) ? value + random.Next(-8, 9) : 0;
        var with = random.Next(2) == 0 ? Extremes[random.Next(Extremes.Length)] : near.ToString(CultureInfo.InvariantCulture);
        var copy = Encoding.Latin1.GetBytes(text[..number.Index] + with + text[(number.Index + number.Length)..]);
        if (copy.Length < 8 || number.Index < 8) return copy;
        return Overwrite(copy, 0, BitConverter.GetBytes(BitConverter.ToUInt64(copy) + (ulong)(with.Length - number.Length)));
    }
}
