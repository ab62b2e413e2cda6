using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace InteropInterp.Cli.Output;

/// <summary>Results as one JSON object on standard output, for programs.</summary>
internal static class JsonOutput
{
    private static readonly JsonSerializerOptions Options = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        // Weights may be broken, and so may be what is computed with them.
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>The option that every command with a result has.</summary>
    public static Option<bool> Option() => new("--json") { Description = "print the result as JSON" };

    public static string Text<T>(T result) => JsonSerializer.Serialize(result, Options);

    public static void Print<T>(T result) => Console.WriteLine(Text(result));
}
