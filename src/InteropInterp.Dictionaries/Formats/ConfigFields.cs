using System.Text.Json;
using System.Text.Json.Nodes;

namespace InteropInterp.Dictionaries.Formats;

/// <summary>A config file that remembers which of its fields were asked for: one that nobody read may change the numbers.</summary>
internal sealed class ConfigFields(JsonObject json, string path)
{
    private const long LargestFile = 16 << 20;

    private static readonly JsonDocumentOptions Unique = new() { AllowDuplicateProperties = false };

    private readonly HashSet<string> read = [];

    public string Path => path;

    public static ConfigFields Open(string path)
    {
        try
        {
            var length = new FileInfo(path).Length;
            if (length > LargestFile) throw Bad($"'{path}' has {length:N0} bytes; a config has at most {LargestFile:N0}.");
            var json = JsonNode.Parse(File.ReadAllText(path), documentOptions: Unique);
            return new ConfigFields(json?.AsObject() ?? throw new JsonException("it is null"), path);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            throw Bad($"'{path}' is not a JSON object: {e.Message}", e);
        }
    }

    public bool Has(string field) => Get(field) is not null;

    public int Int(string field) => Value<int>(field);
    public double Number(string field) => Value<double>(field);
    public string Text(string field, string? fallback = null) => Has(field) || fallback is null ? Value<string>(field) : fallback;
    public bool Flag(string field, bool fallback) => Has(field) ? Value<bool>(field) : fallback;

    /// <summary>True or false where the field is a flag, else null.</summary>
    public bool? AsFlag(string field) => Get(field)?.GetValueKind() switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => null,
    };

    public JsonObject? Object(string field) => Get(field) as JsonObject;

    /// <summary>The field as it stands in the file; null for null and for none.</summary>
    public JsonNode? Get(string field)
    {
        read.Add(field);
        return json[field];
    }

    /// <summary>The field, without taking note of it.</summary>
    public JsonNode? Peek(string field) => json[field];

    /// <summary>The fields that were not asked for, in file order.</summary>
    public IEnumerable<string> Unread => json.Select(p => p.Key).Where(key => !read.Contains(key));

    /// <summary>The fields that were asked for.</summary>
    public IEnumerable<string> Known => read;

    private T Value<T>(string field)
    {
        if (Get(field) is not { } node) throw Bad($"'{path}' has no {field}.");
        try
        {
            return node.GetValue<T>();
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException)
        {
            throw Bad($"'{path}': {field} is {node.ToJsonString()}; {Expected<T>()} was expected.", e);
        }
    }

    /// <summary>An error of the file's content.</summary>
    public static InterpException Bad(string message, Exception? inner = null) =>
        InterpException.DataLoss("BAD_DICTIONARY_CONFIG", message, inner);

    private static string Expected<T>() => Type.GetTypeCode(typeof(T)) switch
    {
        TypeCode.String => "a text",
        TypeCode.Boolean => "true or false",
        TypeCode.Int32 => "a whole number",
        _ => "a number",
    };
}
