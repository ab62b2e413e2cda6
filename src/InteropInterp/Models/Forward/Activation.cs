using static TorchSharp.torch;

namespace InteropInterp.Models.Forward;

/// <summary>The nonlinearities of an MLP, by TransformerLens's names.</summary>
internal static class Activation
{
    public static Func<Tensor, Tensor> Of(string name) => name switch
    {
        "relu" => x => x.relu(),
        "gelu" => x => x.gelu(),
        // gelu_new, gelu_fast and gelu_pytorch_tanh write the same tanh form with sqrt(2/pi) and 0.044715.
        "gelu_new" or "gelu_fast" or "gelu_pytorch_tanh" => x => nn.functional.gelu(x, TorchSharp.Modules.GELU.Approximate.tanh),
        "silu" => x => nn.functional.silu(x),
        // solu_ln: its norm follows, in the MLP.
        "solu" or "solu_ln" => x => x * x.softmax(-1),
        _ => throw InterpException.Invalid("INVALID_CONFIG", $"act_fn '{name}' is not computed here."),
    };
}
