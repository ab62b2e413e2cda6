using System.Text.Json;
using InteropInterp.Tensors;

namespace InteropInterp.Tokens.Loading;

/// <summary>A value in a JSON file, which knows where it stands, so that errors can say it.</summary>
internal readonly struct JsonPart(JsonElement element, string file, string path)
{
    private const long MaxFileSize = 1L << 30;

    public string File => file;

    /// <summary>Reads a file and hands its root to <paramref name="read"/>.</summary>
    /// <exception cref="InterpException">FILE_NOT_FOUND, FILE_NOT_READABLE, FILE_TOO_LARGE, JSON_INVALID.</exception>
    public static T Read<T>(string file, Func<JsonPart, T> read)
    {
        try
        {
            if (new FileInfo(file) is { Exists: true, Length: > MaxFileSize } info)
                throw InterpException.DataLoss("FILE_TOO_LARGE",
                    $"'{file}' has {info.Length:N0} bytes; no tokenizer has more than {MaxFileSize:N0}.");
            using var stream = System.IO.File.OpenRead(file);
            using var document = JsonDocument.Parse(stream);
            return read(new(document.RootElement, file, ""));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw InterpException.NotFound("FILE_NOT_FOUND", $"There is no file '{file}'.");
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            throw new InterpException(
                ErrorCode.PermissionDenied, "FILE_NOT_READABLE", $"'{file}' cannot be read: {e.Message}", innerException: e);
        }
        catch (JsonException e)
        {
            throw InterpException.DataLoss("JSON_INVALID", $"'{file}' is not JSON: {e.Message}", e);
        }
    }

    public bool IsString => element.ValueKind == JsonValueKind.String;
    public bool IsArray => element.ValueKind == JsonValueKind.Array;
    public bool IsObject => element.ValueKind == JsonValueKind.Object;

    /// <summary>A field, or null where it is absent or null.</summary>
    public JsonPart? Find(string name) =>
        Object().TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? new(value, file, Join(name)) : null;

    public JsonPart Get(string name) =>
        Find(name) ?? throw InterpException.DataLoss("JSON_FIELD_ABSENT", $"'{file}': {Place()} has no field '{name}'.");

    public string Text() => Expect(JsonValueKind.String).GetString()!;

    public bool Flag() =>
        element.ValueKind is JsonValueKind.True or JsonValueKind.False ? element.GetBoolean() : throw Wrong("true or false");

    public int Number() => Expect(JsonValueKind.Number).TryGetInt32(out var value) ? value : throw Wrong("a whole number");

    public string Text(string name, string other) => Find(name)?.Text() ?? other;

    public bool Flag(string name, bool other = false) => Find(name)?.Flag() ?? other;

    public IReadOnlyList<JsonPart> Items()
    {
        var (source, place) = (file, path);
        return Expect(JsonValueKind.Array).EnumerateArray().Select((item, i) => new JsonPart(item, source, $"{place}[{i}]")).ToList();
    }

    public IEnumerable<KeyValuePair<string, JsonPart>> Members()
    {
        var part = this;
        return Object().EnumerateObject()
            .Select(member => KeyValuePair.Create(member.Name, new JsonPart(member.Value, part.File, part.Join(member.Name))));
    }

    /// <summary>The error for a component type that is not read.</summary>
    public InterpException Unsupported(string what, string type, IEnumerable<string> supported) => new(
        ErrorCode.Unimplemented, "TOKENIZER_COMPONENT_UNSUPPORTED",
        $"'{file}': the {what} type {Quoted.Name(type)} is not read. Supported are: {string.Join(", ", supported)}.");

    public InterpException Invalid(string message) => InterpException.DataLoss("TOKENIZER_FILE_INVALID", $"'{file}': {Place()}: {message}");

    private JsonElement Object() => Expect(JsonValueKind.Object);

    private JsonElement Expect(JsonValueKind kind) => element.ValueKind == kind ? element : throw Wrong(Name(kind));

    private InterpException Wrong(string expected) =>
        InterpException.DataLoss("JSON_FIELD_WRONG", $"'{file}': {Place()} should be {expected}, not {Name(element.ValueKind)}.");

    private static string Name(JsonValueKind kind) => kind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a text",
        JsonValueKind.Number => "a number",
        _ => kind.ToString().ToLowerInvariant(),
    };

    private string Place() => path.Length == 0 ? "the root" : path.Length <= 200 ? path : path[..200] + "…";

    private string Join(string name) => path.Length == 0 ? name : $"{path}.{name}";
}
