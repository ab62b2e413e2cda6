using System.IO.MemoryMappedFiles;
using System.Text;

namespace InteropInterp.Native.Loading;

/// <summary>
/// Edits to a 64-bit little-endian ELF shared library that do not move a byte: weaken a version requirement, rename libraries
/// to names of equal length, demote unique symbols. Works on mapped memory: a CUDA library is larger than an array may be.
/// </summary>
internal sealed unsafe class ElfImage
{
    private const uint DynamicSection = 6, DynamicSymbols = 11, VersionNeeds = 0x6ffffffe;
    private const long Needed = 1, SharedName = 14;
    private const byte BindUnique = 10, BindWeak = 2;
    private const ushort VersionIsWeak = 2;
    private const int SymbolSize = 24, RecordSize = 16, MaxName = 4096;

    private readonly byte* data;
    private readonly long length;
    private readonly string name;
    private readonly List<Section> sections = [];

    private sealed record Section(uint Kind, long Offset, long Length, uint Link, long EntrySize);

    /// <param name="data">The whole file, writable.</param>
    /// <param name="length">Its bytes.</param>
    /// <param name="name">For error messages.</param>
    /// <exception cref="InterpException">BAD_LIBRARY, here and in every edit: an offset leads out of the file.</exception>
    public ElfImage(byte* data, long length, string name)
    {
        this.data = data;
        this.length = length;
        this.name = name;
        if (length < 64 || !new ReadOnlySpan<byte>(data, 6).SequenceEqual("\u007fELF\u0002\u0001"u8))
            throw InterpException.DataLoss("BAD_LIBRARY", $"'{name}' is not a 64-bit little-endian ELF library.");
        var table = Read<long>(0x28);
        int size = Read<ushort>(0x3A), count = Read<ushort>(0x3C);
        for (var i = 0; i < count; i++)
        {
            var at = Offset(table, (long)i * size);
            sections.Add(new Section(
                Read<uint>(at + 4), Read<long>(at + 24), Read<long>(at + 32), Read<uint>(at + 40), Read<long>(at + 56)));
        }
    }

    /// <summary>Edits a file in place.</summary>
    public static void Edit(string path, Action<ElfImage> edit)
    {
        using var file = MemoryMappedFile.CreateFromFile(path, FileMode.Open);
        using var view = file.CreateViewAccessor();
        byte* start = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        try
        {
            edit(new ElfImage(start, new FileInfo(path).Length, path));
            view.Flush();
        }
        finally
        {
            view.SafeMemoryMappedViewHandle.ReleasePointer();
        }
    }

    /// <summary>
    /// Marks the requirement of symbol version <paramref name="version"/> as weak, so that the loader only warns where the
    /// library that should provide it is older. Right only where no symbol of that version is really used.
    /// </summary>
    /// <returns>Whether the library has that requirement.</returns>
    public bool WeakenVersion(string version)
    {
        foreach (var section in sections.Where(s => s.Kind == VersionNeeds))
        {
            var strings = StringsOf(section);
            for (var need = section.Offset; ;)
            {
                var aux = Offset(need, Read<uint>(need + 8));
                for (int i = 0, n = Read<ushort>(need + 2); i < n; i++)
                {
                    if (Text(Offset(strings, Read<uint>(aux + 8))) == version)
                    {
                        Write(aux + 4, (ushort)(Read<ushort>(aux + 4) | VersionIsWeak));
                        return true;
                    }
                    aux = Offset(aux, Math.Max(Read<uint>(aux + 12), RecordSize));
                }
                var next = Read<uint>(need + 12);
                if (next == 0) break;
                need = Offset(need, Math.Max(next, RecordSize));
            }
        }
        return false;
    }

    /// <summary>Renames this library and those it needs, so that the loader cannot hand out another copy of the old name.</summary>
    /// <param name="other">A name's replacement, of equal length, or null to keep it.</param>
    /// <returns>How many names were changed.</returns>
    public int Rename(Func<string, string?> other)
    {
        var renamed = 0;
        foreach (var section in sections.Where(s => s.Kind == DynamicSection))
        {
            var strings = StringsOf(section);
            for (long item = 0; item + 16 <= section.Length; item += 16)
            {
                var at = Offset(section.Offset, item);
                if (Read<long>(at) is not (Needed or SharedName)) continue;
                var text = Offset(strings, Read<long>(at + 8));
                var old = Text(text);
                if (other(old) is not { } changed || changed == old) continue;
                if (changed.Length != old.Length) throw new ArgumentException($"'{changed}' is not as long as '{old}'.", nameof(other));
                for (var i = 0; i < changed.Length; i++) Write(text + i, (byte)changed[i]);
                renamed++;
            }
        }
        return renamed;
    }

    /// <summary>
    /// Turns STB_GNU_UNIQUE symbols into weak ones. Unique symbols are one per process even under RTLD_LOCAL: without this
    /// two copies of libtorch share their static registries, and the second aborts while it registers its operators.
    /// </summary>
    /// <returns>How many symbols were changed.</returns>
    public int DemoteUniqueSymbols()
    {
        var demoted = 0;
        foreach (var section in sections.Where(s => s.Kind == DynamicSymbols))
        {
            if (section.EntrySize != SymbolSize) throw Bad($"symbols of {section.EntrySize} bytes");
            for (long symbol = 0; symbol + SymbolSize <= section.Length; symbol += SymbolSize)
            {
                var at = Offset(section.Offset, symbol) + 4;
                var info = Read<byte>(at);
                if (info >> 4 != BindUnique) continue;
                Write(at, (byte)(BindWeak << 4 | info & 15));
                demoted++;
            }
        }
        return demoted;
    }

    private long StringsOf(Section section) =>
        section.Link < sections.Count ? sections[(int)section.Link].Offset : throw Bad($"a link to section {section.Link}");

    private string Text(long at)
    {
        Read<byte>(at);
        var room = new ReadOnlySpan<byte>(data + at, (int)Math.Min(length - at, MaxName));
        var end = room.IndexOf((byte)0);
        return end >= 0 ? Encoding.ASCII.GetString(room[..end]) : throw Bad($"an unending name at {at}");
    }

    private long Offset(long start, long distance) =>
        start >= 0 && distance >= 0 && distance <= length - start ? start + distance : throw Bad($"offset {start} + {distance}");

    private T Read<T>(long at) where T : unmanaged =>
        at >= 0 && at <= length - sizeof(T) ? *(T*)(data + at) : throw Bad($"offset {at}");

    private void Write<T>(long at, T value) where T : unmanaged
    {
        Read<T>(at);
        *(T*)(data + at) = value;
    }

    private InterpException Bad(string what) =>
        InterpException.DataLoss("BAD_LIBRARY", $"'{name}' ({length:N0} bytes) is not a sound ELF library: it has {what}.");
}
