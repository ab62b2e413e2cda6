namespace InteropInterp.Models;

/// <summary>The local Hugging Face cache: models--OWNER--NAME/snapshots/REVISION (huggingface_hub's layout). Read only.</summary>
public static class HuggingFaceCache
{
    /// <summary>Where it may be, in huggingface_hub's order.</summary>
    public static IEnumerable<string> Roots()
    {
        if (Environment.GetEnvironmentVariable("HF_HUB_CACHE") is { Length: > 0 } hub) yield return hub;
        if (Environment.GetEnvironmentVariable("HF_HOME") is { Length: > 0 } home) yield return Path.Combine(home, "hub");
        var cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } xdg
            ? xdg
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        yield return Path.Combine(cache, "huggingface", "hub");
    }

    /// <summary>The snapshot folder of a name such as "gpt2" or "EleutherAI/pythia-70m"; null where it is not cached.</summary>
    public static string? Find(string name)
    {
        if (name.Count(c => c == '/') > 1 || name.Any(char.IsWhiteSpace) || name.Contains("..", StringComparison.Ordinal)) return null;
        var plain = name == "gpt2-small" ? "gpt2" : name;
        foreach (var root in Roots())
        {
            var folder = Path.Combine(root, "models--" + plain.Replace("/", "--", StringComparison.Ordinal));
            var snapshots = Path.Combine(folder, "snapshots");
            if (!Directory.Exists(snapshots)) continue;
            var main = Path.Combine(folder, "refs", "main");
            if (File.Exists(main) && Path.Combine(snapshots, File.ReadAllText(main).Trim()) is var current && Directory.Exists(current)) return current;
            if (Directory.GetDirectories(snapshots).OrderByDescending(Directory.GetLastWriteTimeUtc).FirstOrDefault() is { } newest) return newest;
        }
        return null;
    }

    /// <summary>The names of what is cached.</summary>
    public static IEnumerable<string> Names() => Roots().Where(Directory.Exists)
        .SelectMany(root => Directory.EnumerateDirectories(root, "models--*"))
        .Select(folder => Path.GetFileName(folder)["models--".Length..].Replace("--", "/", StringComparison.Ordinal));
}
