using System.Buffers.Binary;
using System.Text;

namespace InteropInterp.Native.Loading;

/// <summary>
/// Edits to a 64-bit little-endian ELF shared library that do not move a byte: weaken a version requirement, rename libraries
/// to names of equal length, demote unique symbols.
/// </summary>
internal sealed class ElfImage
{
    private const uint DynamicSection = 6, DynamicSymbols = 11, VersionNeeds = 0x6ffffffe;
    private const long Needed = 1, SharedName = 14;
    private const byte BindUnique = 10, BindWeak = 2;
    private const ushort VersionIsWeak = 2;

    private readonly byte[] data;
    private readonly List<Section> sections = [];

    private sealed record Section(uint Kind, long Offset, long Length, uint Link, long EntrySize);

    public ElfImage(byte[] data, string name)
    {
        this.data = data;
        if (data.Length < 64 || !data.AsSpan(0, 6).SequenceEqual("\u007fELF\u0002\u0001"u8))
            throw InterpException.DataLoss("BAD_LIBRARY", $"'{name}' is not a 64-bit little-endian ELF library.");
        var table = (long)U64(0x28);
        int size = U16(0x3A), count = U16(0x3C);
        for (var i = 0; i < count; i++)
        {
            var at = table + (long)i * size;
            sections.Add(new Section(U32(at + 4), (long)U64(at + 24), (long)U64(at + 32), U32(at + 40), (long)U64(at + 56)));
        }
    }

    public byte[] Bytes => data;

    /// <summary>
    /// Marks the requirement of symbol version <paramref name="version"/> as weak, so that the loader only warns where the
    /// library that should provide it is older. Right only where no symbol of that version is really used.
    /// </summary>
    public bool WeakenVersion(string version)
    {
        foreach (var section in sections.Where(s => s.Kind == VersionNeeds))
        {
            var strings = sections[(int)section.Link].Offset;
            for (var need = section.Offset; ;)
            {
                var aux = need + U32(need + 8);
                for (int i = 0, n = U16(need + 2); i < n; i++)
                {
                    if (Text(strings + U32(aux + 8)) == version)
                    {
                        BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan((int)aux + 4), (ushort)(U16(aux + 4) | VersionIsWeak));
                        return true;
                    }
                    aux += U32(aux + 12);
                }
                var next = U32(need + 12);
                if (next == 0) break;
                need += next;
            }
        }
        return false;
    }

    /// <summary>Renames this library and those it needs, so that the loader cannot hand out another copy of the old name.</summary>
    public void Rename(IReadOnlyDictionary<string, string> names)
    {
        foreach (var section in sections.Where(s => s.Kind == DynamicSection))
        {
            var strings = sections[(int)section.Link].Offset;
            for (var item = section.Offset; item < section.Offset + section.Length; item += 16)
            {
                if ((long)U64(item) is not (Needed or SharedName)) continue;
                var at = strings + (long)U64(item + 8);
                if (names.TryGetValue(Text(at), out var renamed)) Encoding.ASCII.GetBytes(renamed, data.AsSpan((int)at));
            }
        }
    }

    /// <summary>
    /// Turns STB_GNU_UNIQUE symbols into weak ones. Unique symbols are one per process even under RTLD_LOCAL: without this
    /// two copies of libtorch share their static registries, and the second aborts while it registers its operators.
    /// </summary>
    public int DemoteUniqueSymbols()
    {
        var demoted = 0;
        foreach (var section in sections.Where(s => s.Kind == DynamicSymbols))
            for (var symbol = section.Offset; symbol < section.Offset + section.Length; symbol += section.EntrySize)
                if (data[symbol + 4] >> 4 == BindUnique)
                {
                    data[symbol + 4] = (byte)(BindWeak << 4 | data[symbol + 4] & 15);
                    demoted++;
                }
        return demoted;
    }

    private string Text(long at)
    {
        var end = Array.IndexOf(data, (byte)0, (int)at);
        return Encoding.ASCII.GetString(data, (int)at, end - (int)at);
    }

    private ushort U16(long at) => BinaryPrimitives.ReadUInt16LittleEndian(data.AsSpan((int)at));
    private uint U32(long at) => BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan((int)at));
    private ulong U64(long at) => BinaryPrimitives.ReadUInt64LittleEndian(data.AsSpan((int)at));
}
