using System.Text.Json;
using System.Text.Json.Nodes;

namespace InteropInterp.Dictionaries.Formats;

/// <summary>
/// What a cfg.json of SAELens says about inference: files of version 6 (inference and training) and the flat ones before it.
/// </summary>
/// <param name="K">k of topk and batchtopk; null where there is none.</param>
/// <param name="IsScaledOnAverage">normalize_activations: expected_average_only_in.</param>
/// <param name="ScalesCodes">A scaling_factor tensor multiplies codes before decoding (versions 3 to 5).</param>
internal sealed record SaeLensConfig(string Architecture, DictionaryConfig Config, double? K, bool IsScaledOnAverage, bool ScalesCodes)
{
    /// <summary>The architectures that are read.</summary>
    public static readonly string[] Architectures = ["standard", "topk", "jumprelu", "batchtopk", "matryoshka_batchtopk"];

    private static readonly Dictionary<string, Normalization> Normalizations = new()
    {
        ["none"] = Normalization.None,
        ["constant_norm_rescale"] = Normalization.ConstantNorm,
        ["layer_norm"] = Normalization.LayerNorm,
        [OnAverage] = Normalization.None,
    };

    private const string OnAverage = "expected_average_only_in";

    // Fields of training and of the machine: they do not change what a trained dictionary computes.
    private static readonly HashSet<string> OfTraining =
    [
        "device", "dtype", "decoder_init_norm", "l1_coefficient", "lp_norm", "l1_warm_up_steps", "use_sparse_activations",
        "aux_loss_coefficient", "topk_threshold_lr", "matryoshka_widths", "use_matryoshka_aux_loss", "jumprelu_init_threshold",
        "jumprelu_bandwidth", "jumprelu_sparsity_loss_mode", "jumprelu_tanh_scale", "jumprelu_ste_to_input", "l0_coefficient",
        "l0_warm_up_steps", "pre_act_loss_coefficient", "target_l0",
    ];

    /// <exception cref="InterpException">BAD_DICTIONARY_CONFIG, UNKNOWN_ARCHITECTURE, UNSUPPORTED_FEATURE,
    /// UNKNOWN_CONFIG_FIELD.</exception>
    public static SaeLensConfig Read(ConfigFields fields, bool ignoreUnknown) =>
        fields.Object("metadata") is { } metadata ? Current(fields, metadata, ignoreUnknown) : Flat(fields);

    private static SaeLensConfig Current(ConfigFields fields, JsonObject metadata, bool ignoreUnknown)
    {
        var architecture = KnownArchitecture(fields, fields.Text("architecture"));
        var hasK = architecture is "topk" or "batchtopk" or "matryoshka_batchtopk";
        var normalization = fields.Text("normalize_activations", "none");
        var result = new SaeLensConfig(
            architecture,
            Dimensions(fields, metadata) with
            {
                SubtractsDecoderBias = fields.Flag("apply_b_dec_to_input", true),
                Normalization = KnownNormalization(fields, normalization),
                JoinsHeads = KnownReshape(fields, fields.Text("reshape_activations", "none")),
                RescalesByDecoderNorm = hasK && fields.Flag("rescale_acts_by_decoder_norm", false),
            },
            hasK ? fields.Number("k") : null,
            normalization == OnAverage,
            ScalesCodes: false);
        if (!ignoreUnknown) RefuseUnread(fields);
        return result;
    }

    // Before version 6 everything lay flat, under names that changed; what is not needed here becomes metadata.
    private static SaeLensConfig Flat(ConfigFields fields)
    {
        string Either(string name, string older) => fields.Has(name) ? name : older;
        var function = fields.Text(Either("activation_fn_str", "activation_fn"), "relu");
        if (function is not ("relu" or "topk")) throw Unsupported(fields, "activation_fn", function, ["relu", "topk"]);
        var architecture = KnownArchitecture(fields, function == "topk" ? "topk" : fields.Text("architecture", "standard"));
        var hook = fields.Get(Either("hook_name", "hook_point"));
        var normalization = fields.AsFlag("normalize_activations") switch
        {
            true => OnAverage,
            false => "none",
            null => fields.Text("normalize_activations", "none"),
        };

        var head = fields.Get(Either("hook_head_index", "hook_point_head_index"));
        var metadata = new JsonObject { ["hook_name"] = hook?.DeepClone(), ["hook_head_index"] = head?.DeepClone() };
        var scales = fields.Flag("finetuning_scaling_factor", false);
        double? k = architecture != "topk" ? null
            : fields.Object("activation_fn_kwargs") is { } arguments ? new ConfigFields(arguments, fields.Path).Number("k")
            : fields.Number("k");
        var config = Dimensions(fields, metadata) with
        {
            SubtractsDecoderBias = fields.Flag("apply_b_dec_to_input", true),
            Normalization = KnownNormalization(fields, normalization),
            JoinsHeads = hook?.ToString().Contains("hook_z", StringComparison.Ordinal) == true,
        };
        foreach (var name in fields.Unread.Where(n => !OfTraining.Contains(n))) metadata[name] = fields.Peek(name)?.DeepClone();
        return new SaeLensConfig(
            architecture,
            config with { Metadata = JsonSerializer.SerializeToElement(metadata) },
            k,
            normalization == OnAverage,
            scales);
    }

    private static DictionaryConfig Dimensions(ConfigFields fields, JsonObject metadata)
    {
        int Size(string name) => fields.Int(name) is > 0 and var size
            ? size
            : throw ConfigFields.Bad($"'{fields.Path}': {name} is {fields.Int(name)}; it must be above 0.");
        return new DictionaryConfig
        {
            InputWidth = Size("d_in"), Width = Size("d_sae"), Metadata = JsonSerializer.SerializeToElement(metadata),
        };
    }

    private static string KnownArchitecture(ConfigFields fields, string name) => Architectures.Contains(name)
        ? name
        : throw new InterpException(ErrorCode.Unimplemented, "UNKNOWN_ARCHITECTURE",
            $"'{fields.Path}': architecture '{name}' is not read; {string.Join(", ", Architectures)} are.",
            NearestNames.Find(name, Architectures));

    private static Normalization KnownNormalization(ConfigFields fields, string name) =>
        Normalizations.TryGetValue(name, out var known)
            ? known
            : throw Unsupported(fields, "normalize_activations", name, Normalizations.Keys);

    private static bool KnownReshape(ConfigFields fields, string name) =>
        name is "none" or "hook_z" ? name == "hook_z" : throw Unsupported(fields, "reshape_activations", name, ["none", "hook_z"]);

    private static InterpException Unsupported(ConfigFields fields, string field, string value, IEnumerable<string> known) =>
        new(ErrorCode.Unimplemented, "UNSUPPORTED_FEATURE",
            $"'{fields.Path}': {field} is '{value}', which is not computed; {string.Join(", ", known)} are.");

    private static void RefuseUnread(ConfigFields fields)
    {
        var known = fields.Known.Concat(OfTraining).ToList();
        foreach (var field in fields.Unread)
            if (!OfTraining.Contains(field))
                throw new InterpException(ErrorCode.InvalidArgument, "UNKNOWN_CONFIG_FIELD",
                    $"'{fields.Path}': the field '{field}' is not known and may change the numbers. "
                    + $"Read are {string.Join(", ", fields.Known)}; IgnoreUnknownFields passes over others.",
                    NearestNames.Find(field, known));
    }
}
