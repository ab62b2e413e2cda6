namespace InteropInterp.Dictionaries.Formats;

/// <summary>activation_scaler.json of a SAELens checkpoint: what its activations were multiplied by in training.</summary>
internal static class ActivationScaler
{
    /// <exception cref="InterpException">ACTIVATION_SCALE_MISSING: no file says it; UNSUPPORTED_FEATURE for whitening.</exception>
    public static double Read(DictionaryFiles files)
    {
        var path = files.ScalerPath;
        if (!File.Exists(path)) throw Missing(files.ConfigPath!, $"no {Path.GetFileName(path)} lies beside it");
        var fields = ConfigFields.Open(path);
        if (fields.Flag("has_whitening", false))
            throw new InterpException(ErrorCode.Unimplemented, "UNSUPPORTED_FEATURE",
                $"'{path}': has_whitening is true; whitened activations are not computed.");
        return fields.Has("scaling_factor") ? fields.Number("scaling_factor") : throw Missing(files.ConfigPath!, $"'{path}' has none");
    }

    private static InterpException Missing(string config, string why) => InterpException.Precondition("ACTIVATION_SCALE_MISSING",
        $"'{config}': normalize_activations is expected_average_only_in, so activations were multiplied by a factor in training, "
        + $"but {why}. Give it as ActivationScale; 1 gives SAELens's numbers, which leave it out.");
}
