using System.Globalization;

namespace InteropInterp.Protocol.Sessions;

/// <summary>Names of things a client holds: "tensors/17".</summary>
public static class ResourceName
{
    /// <summary>The number in a name of a collection; null where it is no such name.</summary>
    public static long? NumberOf(string collection, string name) =>
        name.Length > collection.Length && name[collection.Length] == '/' && name.StartsWith(collection, StringComparison.Ordinal)
        && long.TryParse(name.AsSpan(collection.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
}
