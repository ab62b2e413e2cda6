using Parquet;
using Parquet.Schema;

namespace InteropInterp.Corpora;

/// <summary>One column of Parquet files, a row group at a time: texts, or lists of token ids.</summary>
internal sealed class ParquetColumn
{
    private const int LargestGroup = 1 << 27;

    private readonly IReadOnlyList<string> paths;
    private readonly string column;

    /// <exception cref="InterpException">UNKNOWN_COLUMN with the nearest names, PARQUET_TYPE, PARQUET_INVALID.</exception>
    public ParquetColumn(IReadOnlyList<string> paths, string column)
    {
        (this.paths, this.column) = (paths, column);
        HoldsText = Checked(paths[0], async () =>
        {
            await using var reader = await ParquetInput.Open(paths[0]).ConfigureAwait(false);
            return IsText(Field(reader, paths[0]));
        });
    }

    /// <summary>Texts; else lists of token ids.</summary>
    public bool HoldsText { get; }

    /// <summary>The texts; null ones are passed over.</summary>
    public IEnumerable<string> Texts() => Groups(async (group, field, path) =>
    {
        RequireText(field, path);
        var texts = new string?[Count(group.RowCount, path)];
        await group.ReadAsync(field, texts.AsMemory()).ConfigureAwait(false);
        return texts.OfType<string>();
    });

    /// <summary>The lists; empty ones are passed over.</summary>
    /// <exception cref="InterpException">TOKEN_OUT_OF_RANGE.</exception>
    public IEnumerable<int[]> Lists() => Groups((group, field, path) =>
        field.ClrType == typeof(long) ? Split<long>(group, field, path, v => v)
        : field.ClrType == typeof(int) ? Split<int>(group, field, path, v => v)
        : field.ClrType == typeof(uint) ? Split<uint>(group, field, path, v => v)
        : field.ClrType == typeof(ushort) ? Split<ushort>(group, field, path, v => v)
        : throw WrongType(field, path));

    // The library is asynchronous, its files are local.
    private IEnumerable<T> Groups<T>(Func<ParquetRowGroupReader, DataField, string, Task<IEnumerable<T>>> read)
    {
        foreach (var path in paths)
        {
            var count = Checked(path, async () =>
            {
                await using var reader = await ParquetInput.Open(path).ConfigureAwait(false);
                return reader.RowGroupCount;
            });
            for (var i = 0; i < count; i++)
            {
                var at = i;
                var values = Checked(path, async () =>
                {
                    await using var reader = await ParquetInput.Open(path).ConfigureAwait(false);
                    using var group = reader.OpenRowGroupReader(at);
                    return (await read(group, Field(reader, path), path).ConfigureAwait(false)).ToList();
                });
                foreach (var value in values) yield return value;
            }
        }
    }

    // A row begins where the repetition level is 0; a value is there where the definition level is the highest.
    private static async Task<IEnumerable<int[]>> Split<T>(ParquetRowGroupReader group, DataField field, string path, Func<T, long> number)
        where T : struct
    {
        var count = Count(group.GetMetadata(field)?.MetaData?.NumValues ?? 0, path);
        var (values, definitions, repetitions) = (new T[count], new int[count], new int[count]);
        var most = field.MaxDefinitionLevel;
        await group.ReadRawAsync(field, values.AsMemory(), most > 0 ? definitions.AsMemory() : null, repetitions.AsMemory()).ConfigureAwait(false);
        var rows = new List<int[]>();
        var row = new List<int>();
        for (int i = 0, next = 0; i < count; i++)
        {
            if (repetitions[i] == 0 && row.Count > 0)
            {
                rows.Add([.. row]);
                row.Clear();
            }
            if (definitions[i] < most) continue;
            var token = number(values[next++]);
            if (token is < 0 or > int.MaxValue)
                throw InterpException.OutOfRange("TOKEN_OUT_OF_RANGE", $"'{path}', column '{field.Path}': {token} is no token id.");
            row.Add((int)token);
        }
        if (row.Count > 0) rows.Add([.. row]);
        return rows;
    }

    // What a file says of itself is not allocated unseen.
    private static int Count(long said, string path) => said is >= 0 and <= LargestGroup
        ? (int)said
        : throw InterpException.DataLoss("PARQUET_INVALID",
            $"'{path}' says that a row group has {said:N0} values of the column; up to {LargestGroup:N0} are read at a time. Write smaller ones.");

    private DataField Field(ParquetReader reader, string path)
    {
        // "input_ids" names the column whose values lie at input_ids/list/element.
        var fields = reader.Schema.GetDataFields();
        var field = fields.FirstOrDefault(f => f.Path.ToString() == column) ?? fields.FirstOrDefault(f => f.Path.FirstPart == column)
            ?? throw InterpException.Unknown("UNKNOWN_COLUMN", $"column of '{Path.GetFileName(path)}':", column, fields.Select(f => f.Path.FirstPart!).Distinct());
        var isText = IsText(field) && field.MaxRepetitionLevel == 0;
        var isTokens = field.MaxRepetitionLevel == 1 && (field.ClrType == typeof(long) || field.ClrType == typeof(int)
            || field.ClrType == typeof(uint) || field.ClrType == typeof(ushort));
        return isText || isTokens ? field : throw WrongType(field, path);
    }

    private static void RequireText(DataField field, string path)
    {
        if (!IsText(field)) throw WrongType(field, path);
    }

    // The library names a column of texts by the memory it is read into.
    private static bool IsText(DataField field) => field.ClrType == typeof(string) || field.ClrType == typeof(ReadOnlyMemory<char>);

    private static InterpException WrongType(DataField field, string path) => InterpException.Invalid("PARQUET_TYPE",
        $"Column '{field.Path}' of '{path}' holds {(field.MaxRepetitionLevel > 0 ? "lists of " : "")}{field.ClrType.Name}; texts, or lists of whole numbers, are expected.");

    private static T Checked<T>(string path, Func<Task<T>> read)
    {
        try
        {
            return read().GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is not InterpException and not OutOfMemoryException)
        {
            throw InterpException.DataLoss("PARQUET_INVALID", $"'{path}' cannot be read as Parquet: {e.Message}", e);
        }
    }
}
