using InteropInterp.Models;

namespace InteropInterp.Plans.Checking;

/// <summary>Checks what a plan runs on: tokens, masks, lengths.</summary>
internal static class RowChecker
{
    public static void Check(TransformerConfig config, Plan plan)
    {
        if (plan.Residual is { } residual) CheckResidual(config, plan, residual);
        else InterpException.Require(plan.Rows.Count > 0, "NO_ROWS", "The plan has no rows: there is nothing to run.");
        for (var i = 0; i < plan.Rows.Count; i++) CheckRow(config, plan.Rows[i], i, plan.Generation?.MaxNewTokens ?? 0);
        if (plan.Outputs.Loss || plan.Outputs.LossPerToken) new Metrics.Loss().Check(plan.Rows, config.OutputVocabularySize);
    }

    private static void CheckRow(TransformerConfig config, Row row, int index, int newTokens)
    {
        InterpException.Require(row.Length > 0, "EMPTY_ROW", $"Row {index} has no tokens; give it at least one, such as the BOS.");
        if (row.Length > config.ContextLength)
            throw InterpException.OutOfRange("SEQUENCE_TOO_LONG", $"Row {index} has {row.Length} tokens; the model's n_ctx is {config.ContextLength}. Cut it to that many.");
        if (row.Length + newTokens > config.ContextLength)
            throw InterpException.OutOfRange("SEQUENCE_TOO_LONG",
                $"Row {index} has {row.Length} tokens and max_new_tokens is {newTokens}; together they pass the model's n_ctx of {config.ContextLength}. Ask for at most {config.ContextLength - row.Length}.");
        for (var p = 0; p < row.Length; p++)
            if ((uint)row.Tokens[p] >= (uint)config.VocabularySize)
                throw InterpException.OutOfRange("TOKEN_OUT_OF_RANGE",
                    $"Row {index}, position {p}: token id {row.Tokens[p]} is out of range; the vocabulary has {config.VocabularySize} (0 to {config.VocabularySize - 1}).");
        if (row.Mask is not { } mask) return;
        InterpException.Require(mask.Count == row.Length, "MASK_LENGTH", $"Row {index}: the attention mask has {mask.Count} entries for {row.Length} tokens.");
        InterpException.Require(mask.Any(m => m), "MASK_EMPTY", $"Row {index}: the attention mask leaves no token.");
    }

    private static void CheckResidual(TransformerConfig config, Plan plan, TorchSharp.torch.Tensor residual)
    {
        var shape = residual.shape;
        InterpException.Require(shape.Length == 3 && shape[2] == config.ModelWidth && shape[0] > 0 && shape[1] > 0, "RESIDUAL_SHAPE",
            $"The residual stream is [{string.Join(", ", shape)}]; [rows, pos, {config.ModelWidth}] is expected.");
        if (shape[1] > config.ContextLength)
            throw InterpException.OutOfRange("SEQUENCE_TOO_LONG", $"The residual stream has {shape[1]} positions; the model's n_ctx is {config.ContextLength}. Cut it to that many.");
        InterpException.Require(plan.Generation is null, "GENERATION_NEEDS_TOKENS", "Generation starts from tokens, not from a residual stream.");
        InterpException.Require(plan.Rows.Count == 0 || (plan.Rows.Count == shape[0] && plan.Rows.All(r => r.Length == shape[1])), "RESIDUAL_ROWS",
            $"The rows given beside the residual stream [{shape[0]}, {shape[1]}, ...] must be as many and as long.");
        InterpException.Require(plan.Rows.Count > 0 || !(plan.Outputs.Loss || plan.Outputs.LossPerToken || plan.Objective?.Metric is Metrics.Loss), "LOSS_NEEDS_TOKENS",
            "The loss of a run that starts from a residual stream needs its tokens: give rows beside it.");
    }
}
