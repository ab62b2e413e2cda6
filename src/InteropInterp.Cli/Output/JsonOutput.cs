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

    private static readonly JsonSerializerOptions OneLine = new(Options) { WriteIndented = false };

    /// <summary>The option that every command with a result has.</summary>
    public static Option<bool> Option() => new("--json") { Description = "print the result as JSON" };

    public static string Text<T>(T result) => JsonSerializer.Serialize(result, Options);

    public static void Print<T>(T result) => Console.WriteLine(Text(result));

    /// <summary>On one line, for a command that goes on: whoever started it reads that line.</summary>
    public static void PrintLine<T>(T result) => Console.WriteLine(JsonSerializer.Serialize(result, OneLine));
}
