using InteropInterp.Hooks;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Sites of the blocks, named as get_act_name takes them ("z", "mlp_post") or as they are called within a block ("attn.hook_z").</summary>
internal static class SiteMapping
{
    private static readonly Dictionary<string, HookSite> Sites = Enum.GetValues<HookSite>()
        .Where(site => HookSiteInfo.Of(site).IsPerLayer).ToDictionary(site => new HookPoint(site, 0).Name);

    /// <exception cref="InterpException">UNKNOWN_SITE with the nearest names.</exception>
    public static HookSite ToEngine(string name) =>
        Sites.TryGetValue($"blocks.0.{name}", out var site) || Sites.TryGetValue(ActivationNames.Expand(name, 0), out site)
            ? site
            : throw InterpException.Unknown("UNKNOWN_SITE", "site of a block", name, Sites.Values.Select(ToProto));

    public static string ToProto(HookSite site) => HookSiteInfo.Of(site).Name;
}
