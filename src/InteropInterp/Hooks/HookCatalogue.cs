namespace InteropInterp.Hooks;

/// <summary>
/// Every hook point of a model under given flags: names (TransformerLens 3's, with TransformerLens 4's as aliases), firing order,
/// shapes, and why a point that a name belongs to cannot fire.
/// </summary>
public sealed class HookCatalogue
{
    private readonly Models.TransformerConfig config;
    private readonly Dictionary<string, HookPoint> byName = [];
    private readonly List<HookPoint> points = [];
    private readonly HashSet<HookPoint> firing = [];
    private ILookup<HookPoint, string>? aliases;

    public HookCatalogue(Models.TransformerConfig config, ModelFlags flags)
    {
        this.config = config;
        Flags = flags;
        foreach (var point in Everything())
        {
            byName.TryAdd(point.Name, point);
            if (WhySilent(point) is not null) continue;
            points.Add(point);
            firing.Add(point);
        }
        foreach (var point in points)
            if (point.Info.Alias is { } alias)
                byName.TryAdd(point.Info.IsPerLayer ? $"blocks.{point.Layer}.{alias}" : alias, point);
        AddGatedAliases();
    }

    public ModelFlags Flags { get; }

    /// <summary>The points that fire in a full forward pass, in firing order.</summary>
    public IReadOnlyList<HookPoint> Points => points;

    public IEnumerable<string> Names => points.Select(p => p.Name);

    public bool Fires(HookPoint point) => firing.Contains(point);

    /// <summary>The point of a name or alias, whether it fires or not; null for a name of no point.</summary>
    public HookPoint? Find(string name) => byName.TryGetValue(name, out var point) ? point : null;

    /// <summary>The other names of a point that fires: TransformerLens 4's.</summary>
    public IEnumerable<string> Aliases(HookPoint point) =>
        (aliases ??= byName.Where(entry => entry.Key != entry.Value.Name).ToLookup(entry => entry.Value, entry => entry.Key))[point];

    /// <summary>The point of a name or alias.</summary>
    /// <exception cref="InterpException">UNKNOWN_HOOK_POINT with the nearest names; HOOK_POINT_SILENT with the reason and the fix.</exception>
    public HookPoint Resolve(string name)
    {
        if (Find(name) is not { } point) throw InterpException.Unknown("UNKNOWN_HOOK_POINT", "hook point", name, Names);
        if (WhySilent(point) is { } reason)
            throw InterpException.Precondition("HOOK_POINT_SILENT", $"'{point.Name}' does not fire in this model: {reason}.");
        return point;
    }

    /// <summary>
    /// The points a name or a pattern means. A pattern has <c>*</c> for any run of characters; it may match nothing only if
    /// <paramref name="allowEmpty"/>.
    /// </summary>
    public IReadOnlyList<HookPoint> Match(string nameOrPattern, bool allowEmpty = false)
    {
        if (!HookPattern.IsPattern(nameOrPattern)) return [Resolve(nameOrPattern)];
        var pattern = new HookPattern(nameOrPattern);
        var matches = points.Where(p => pattern.Matches(p.Name)).ToList();
        if (matches.Count == 0 && !allowEmpty)
        {
            var silent = byName.Values.FirstOrDefault(p => pattern.Matches(p.Name) && WhySilent(p) is not null);
            throw silent == default
                ? InterpException.Unknown("UNKNOWN_HOOK_POINT", "hook point pattern", nameOrPattern, Names)
                : InterpException.Precondition("HOOK_POINT_SILENT", $"'{nameOrPattern}' means points that do not fire: {WhySilent(silent)}.");
        }
        return matches;
    }

    /// <summary>Whether keys and values show a head for each query head.</summary>
    private bool KeysAreGrouped => config.KeyHeads != config.HeadCount && !Flags.UngroupGroupedQueryAttention;

    /// <summary>The size of an axis; null for those that a run decides: batch and positions.</summary>
    public long? Size(HookAxis axis) => axis switch
    {
        HookAxis.Head => config.HeadCount,
        HookAxis.KeyHead => KeysAreGrouped ? config.KeyHeads : config.HeadCount,
        HookAxis.ModelWidth => config.ModelWidth,
        HookAxis.HeadWidth => config.HeadWidth,
        HookAxis.MlpWidth => config.MlpWidth,
        HookAxis.Vocabulary => config.OutputVocabularySize,
        HookAxis.One => 1,
        _ => null,
    };

    /// <summary>The axes of a point under these flags.</summary>
    public IReadOnlyList<HookAxis> Axes(HookPoint point)
    {
        var axes = point.Info.Axes;
        // The norm before attention runs once per head when its input is split; what is kept is the last: that of the values.
        var split = Flags.UseSplitQkvInput ? HookAxis.KeyHead : HookAxis.Head;
        return point.Site is HookSite.Ln1Scale or HookSite.Ln1Normalized && (Flags.UseSplitQkvInput || Flags.UseAttnIn)
            ? [axes[0], axes[1], split, axes[2]]
            : axes;
    }

    /// <summary>The shape of a point for a batch of given size.</summary>
    public long[] Shape(HookPoint point, long batch, long positions, long keyPositions) => [.. Axes(point).Select(axis => axis switch
    {
        HookAxis.Batch => batch,
        HookAxis.Position => positions,
        HookAxis.KeyPosition => keyPositions,
        _ => Size(axis)!.Value,
    })];

    private IEnumerable<HookPoint> Everything()
    {
        var sites = Enum.GetValues<HookSite>();
        foreach (var site in sites.Where(s => s < HookSite.ResidPre)) yield return new HookPoint(site, -1);
        for (var layer = 0; layer < config.LayerCount; layer++)
            foreach (var site in sites.Where(s => HookSiteInfo.Of(s).IsPerLayer)) yield return new HookPoint(site, layer);
        foreach (var site in sites.Where(s => s > HookSite.ResidPost)) yield return new HookPoint(site, -1);
    }

    // Why a point never fires in this model under these flags; null where it does.
    private string? WhySilent(HookPoint point) => point.Site switch
    {
        HookSite.Tokens when !Flags.UseHookTokens => Off("use_hook_tokens", "hook_tokens"),
        HookSite.PosEmbed when !config.HasPositionTable => $"positional_embedding_type is '{config.PositionalEmbedding}'",
        HookSite.AttnIn when !Flags.UseAttnIn => Off("use_attn_in", "attn_in"),
        HookSite.QInput or HookSite.KInput or HookSite.VInput when !Flags.UseSplitQkvInput => Off("use_split_qkv_input", "split_qkv_input"),
        HookSite.Result when !Flags.UseAttnResult => Off("use_attn_result", "attn_result"),
        HookSite.MlpIn when config.HasMlp && !Flags.UseHookMlpIn => Off("use_hook_mlp_in", "hook_mlp_in"),
        HookSite.Ln1Scale or HookSite.Ln1Normalized or HookSite.LnFinalScale or HookSite.LnFinalNormalized when !config.HasNorm =>
            "the model has no norm",
        HookSite.RotQ or HookSite.RotK when !config.IsRotary => "the model has no rotary positions",
        HookSite.ResidMid when config.ParallelBlocks => "attention and MLP run in parallel: there is no residual between them",
        HookSite.Ln2Scale or HookSite.Ln2Normalized when config.HasMlp && !config.HasNorm => "the model has no norm",
        HookSite.MlpPreLinear when config.HasMlp && !config.GatedMlp => "the MLP is not gated",
        HookSite.MlpMid or HookSite.MlpLnScale or HookSite.MlpLnNormalized when config.HasMlp && !config.ActivationHasNorm =>
            $"only activations with a norm have it; act_fn is '{config.Activation}'",
        >= HookSite.ResidMid and <= HookSite.MlpOut when config.AttentionOnly => "the model has attention only",
        _ => null,
    };

    private static string Off(string flag, string setter) => $"{flag} is off (set_use_{setter}(True) switches it on)";

    // 4.x names that depend on the architecture.
    private void AddGatedAliases()
    {
        if (!config.HasMlp) return;
        for (var l = 0; l < config.LayerCount; l++)
        {
            byName.TryAdd($"blocks.{l}.mlp.{(config.GatedMlp ? "gate" : "in")}.hook_out", new HookPoint(HookSite.MlpPre, l));
            if (config.GatedMlp) byName.TryAdd($"blocks.{l}.mlp.in.hook_out", new HookPoint(HookSite.MlpPreLinear, l));
        }
    }
}
