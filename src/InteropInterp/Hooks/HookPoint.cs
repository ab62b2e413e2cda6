namespace InteropInterp.Hooks;

/// <summary>A site in a layer; <see cref="Layer"/> is -1 for sites outside the blocks.</summary>
public readonly record struct HookPoint(HookSite Site, int Layer)
{
    public HookSiteInfo Info => HookSiteInfo.Of(Site);

    /// <summary>TransformerLens 3's full name.</summary>
    public string Name => Info.IsPerLayer ? $"blocks.{Layer}.{Info.Name}" : Info.Name;

    public override string ToString() => Name;
}
