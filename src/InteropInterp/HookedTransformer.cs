using InteropInterp.Attribution;
using InteropInterp.Caches;
using InteropInterp.Circuits;
using InteropInterp.Circuits.Paths;
using InteropInterp.Generation;
using InteropInterp.Heads;
using InteropInterp.Hooks;
using InteropInterp.Lenses;
using InteropInterp.Models;
using InteropInterp.Models.Weights;
using InteropInterp.Patching;
using InteropInterp.Plans;
using InteropInterp.Plans.Execution;
using InteropInterp.Plans.Interventions;
using InteropInterp.Tokens;

namespace InteropInterp;

/// <summary>
/// A model as a .NET program uses it: a share in loaded weights, a tokenizer, and a view of one's own (flags and permanent
/// interventions) that nobody else sees. The Python class of the same name drives the same engine.
/// </summary>
public sealed class HookedTransformer : IDisposable
{
    private readonly ModelShare share;
    private readonly ModelTokenizer? tokenizer;

    private HookedTransformer(ModelShare share)
    {
        this.share = share;
        tokenizer = share.Tokenizer is null ? null : ModelTokenizer.For(share.Tokenizer, share.Model.Config);
    }

    /// <summary>
    /// Loads a folder, a file (.safetensors, .gguf) or a hub name from the local cache; weights are processed as TransformerLens
    /// does by default. "induction" is the model that comes with the engine.
    /// </summary>
    /// <exception cref="InterpException">MODEL_NOT_FOUND, UNKNOWN_ARCHITECTURE, ...</exception>
    public static HookedTransformer FromPretrained(string name, LoadOptions? options = null, CancellationToken cancellation = default) =>
        new(ModelStore.Shared.Load(name, options, cancellation));

    /// <summary>The weights as they are: Hugging Face's numbers.</summary>
    public static HookedTransformer FromPretrainedNoProcessing(string name, LoadOptions? options = null, CancellationToken cancellation = default) =>
        FromPretrained(name, (options ?? new LoadOptions()) with { Processing = ProcessingOptions.None }, cancellation);

    /// <summary>A model with random weights for a config, the same on every device.</summary>
    /// <param name="options">Type and device; by default weights are not processed.</param>
    public static HookedTransformer FromConfig(TransformerConfig config, LoadOptions? options = null) =>
        new(ModelStore.Shared.Add(ModelLoader.Random(config, options)));

    public TransformerModel Model => share.Model;
    public TransformerConfig Config => share.Model.Config;

    /// <exception cref="InterpException">NO_TOKENIZER where the model's files have none.</exception>
    public ModelTokenizer Tokenizer => tokenizer ?? throw InterpException.Precondition("NO_TOKENIZER",
        $"The model '{Config.ModelName}' came without a tokenizer; give token ids instead of text.");

    public bool HasTokenizer => tokenizer is not null;

    /// <summary>Which conditional hook points exist in this view's runs.</summary>
    public ModelFlags Flags { get; set; } = ModelFlags.None;

    /// <summary>Interventions of every run of this view; not to fire is no error for them.</summary>
    public IList<Intervention> PermanentInterventions { get; } = [];

    public ExecutionOptions Options { get; set; } = new();

    /// <summary>The points that fire in a full pass, in firing order.</summary>
    public IReadOnlyList<HookPoint> HookPoints => new HookCatalogue(Config, Flags).Points;

    /// <summary>The weights under their TransformerLens names, as views in the current scope.</summary>
    public StateDict Weights => share.Model.StateDict;

    /// <summary>Tokens of texts, a row each. A text longer than the context is not cut: the run refuses it.</summary>
    public IReadOnlyList<Row> ToRows(params IReadOnlyList<string> texts) => Row.From(Tokenizer.ToTokens(texts, truncate: false).Rows);

    /// <summary>Runs a plan in this view.</summary>
    public RunResult Run(Plan plan, CancellationToken cancellation = default) => PlanRunner.Run(Model, InView(plan), Options, cancellation);

    /// <summary>Checks a plan and says what it would cost, without running it.</summary>
    public PlanReport Check(Plan plan) => PlanRunner.Check(Model, InView(plan), Options);

    /// <summary>Logits of a text [1, pos, d_vocab_out] and the activations of named points (<c>*</c> matches any run of characters).</summary>
    public RunResult RunWithCache(string text, params IReadOnlyList<string> points) => RunWithCache(ToRows(text), points);

    /// <summary>Logits and activations of rows.</summary>
    public RunResult RunWithCache(IReadOnlyList<Row> rows, params IReadOnlyList<string> points) => Run(new Plan
    {
        Rows = rows,
        Outputs = Outputs.AllLogits,
        Captures = [.. (points.Count > 0 ? points : ["*"]).Select(p => new Capture(p))],
    });

    /// <summary>Runs a sweep in this view.</summary>
    public SweepResult Sweep(Sweep sweep, CancellationToken cancellation = default) => SweepRunner.Run(
        Model,
        sweep with
        {
            Base = InView(sweep.Base),
            Source = sweep.Source.Map(InView),
        },
        Options,
        cancellation);

    /// <summary>What the residual streams of a plan's run would predict; see <see cref="LogitLens"/>.</summary>
    public LensResult Lens(Plan plan, LensOptions? options = null, CancellationToken cancellation = default) =>
        LogitLens.Run(Model, InView(plan), options, Options, cancellation);

    /// <summary>What components of a plan's run add to logits; see <see cref="DirectLogitAttribution"/>.</summary>
    public DirectLogitAttributionResult AttributeLogits(Plan plan, DirectLogitAttributionOptions options, CancellationToken cancellation = default) =>
        DirectLogitAttribution.Run(Model, InView(plan), options, Options, cancellation);

    /// <summary>What patching nodes would do, to first order, in this view; see <see cref="NodePatcher"/>.</summary>
    public NodeAttribution AttributeNodes(NodePatch patch, CancellationToken cancellation = default) => NodePatcher.Run(
        Model, patch with { Clean = InView(patch.Clean), Corrupt = InView(patch.Corrupt) }, Options, cancellation);

    /// <summary>What patching edges would do, to first order; see <see cref="EdgePatcher"/>.</summary>
    public EdgeScores AttributeEdges(EdgePatch patch, CancellationToken cancellation = default) => EdgePatcher.Run(
        Model, patch with { Clean = InView(patch.Clean), Corrupt = InView(patch.Corrupt) }, Options, cancellation);

    /// <summary>Path patching; see <see cref="PathPatcher"/>.</summary>
    public PathPatchResult PatchPaths(PathPatch patch, CancellationToken cancellation = default) => PathPatcher.Run(
        Model, patch with { Base = InView(patch.Base), Source = InView(patch.Source) }, Options, cancellation);

    /// <summary>The residual graph that circuits are sets of edges of.</summary>
    public ResidualGraph Graph => new(Config);

    /// <summary>
    /// Runs circuits of this model on a task: for <see cref="Acdc"/>, <see cref="CircuitEvaluation"/> and <see cref="PatchingExperiment"/>.
    /// </summary>
    public CircuitRunner RunCircuits(CircuitTask task, CancellationToken cancellation = default) => new(
        Model, task with { Prompts = InView(task.Prompts), Ablation = task.Ablation.Map(InView) }, Options, cancellation);

    /// <summary>Automatic circuit discovery; see <see cref="Acdc"/>.</summary>
    public AcdcResult FindCircuit(
        CircuitTask task, double threshold, Action<int, int>? progress = null, CancellationToken cancellation = default)
    {
        Acdc.CheckThreshold(threshold);
        using var runner = RunCircuits(task, cancellation);
        return Acdc.Find(runner, threshold, progress, cancellation);
    }

    /// <summary>Patches each cell of a grid alone, in both directions; see <see cref="PatchingExperiment"/>.</summary>
    public Exploration Explore(PatchingExperiment experiment, SweepGrid grid, CancellationToken cancellation = default) =>
        InView(experiment).Explore(Model, grid, Options, cancellation);

    /// <summary>What hypothesised circuits recover with all of the rest corrupted; see <see cref="PatchingExperiment"/>.</summary>
    public IReadOnlyList<CircuitPerformance> Confirm(
        PatchingExperiment experiment, IReadOnlyList<Circuit> circuits, CancellationToken cancellation = default) =>
        InView(experiment).Confirm(Model, circuits, Options, cancellation);

    /// <summary>Trains translators for the lens; see <see cref="TunedLensTrainer"/>.</summary>
    public TunedLensResult TrainTunedLens(
        IReadOnlyList<Row> rows, TunedLensOptions? options = null, Action<int, float>? progress = null,
        CancellationToken cancellation = default) => TunedLensTrainer.Train(Model, rows, options, Options, progress, cancellation);

    /// <summary>What heads do on repeated tokens; see <see cref="HeadScores"/>.</summary>
    public HeadScores ScoreHeads(RepeatedTokens repeated, CancellationToken cancellation = default) =>
        HeadScores.Measure(Model, repeated, Options, cancellation);

    /// <summary>Which heads attend as a kind of head does, [layer][head]; see <see cref="HeadDetector"/>.</summary>
    public double[][] DetectHeads(
        IReadOnlyList<Row> rows, string kind, HeadDetectorOptions? options = null, CancellationToken cancellation = default) =>
        HeadDetector.Detect(Model, rows, kind, options, Options, cancellation);

    /// <summary>Attention times the length of what is moved, [layer, row, head, query, key]; the caller owns it.</summary>
    public TorchSharp.torch.Tensor WeighAttention(
        Plan plan, IReadOnlyList<int>? layers = null, AttentionWeighting weighting = AttentionWeighting.Output,
        CancellationToken cancellation = default) => WeightedAttention.Of(
            Model, InView(plan), layers ?? [.. Enumerable.Range(0, Config.LayerCount)], weighting, Options, cancellation);

    /// <summary>Continues a text; the result begins with it.</summary>
    public string Generate(string prompt, GenerationOptions? options = null, ulong seed = 0, CancellationToken cancellation = default)
    {
        options ??= new GenerationOptions();
        if (options.StopTokens.Count == 0 && Tokenizer.EosId is { } eos) options = options with { StopTokens = [eos] };
        var rows = ToRows(prompt);
        using var run = Run(new Plan { Rows = rows, Generation = options, Seed = seed }, cancellation);
        var tokens = run.Tokens![0];
        // A BOS that was put in front is none of the text.
        var skip = Tokenizer.DefaultPrependBos && rows[0].Tokens[0] == Tokenizer.BosId ? 1 : 0;
        return Tokenizer.ToText([.. tokens.Skip(skip)]);
    }

    /// <summary>Writes the weights as a TransformerLens state dict with its config; see <see cref="ModelSaver"/>.</summary>
    public void Save(string path) => ModelSaver.Save(Model, path);

    private PatchingExperiment InView(PatchingExperiment experiment) =>
        experiment with { Clean = InView(experiment.Clean), Corrupt = InView(experiment.Corrupt) };

    private Plan InView(Plan plan) => plan with
    {
        Flags = plan.Flags == ModelFlags.None ? Flags : plan.Flags,
        Interventions = [.. PermanentInterventions.Select(i => i with { IsOptional = true }), .. plan.Interventions],
        Sources = plan.Sources.ToDictionary(s => s.Key, s => InView(s.Value)),
    };

    public void Dispose() => share.Dispose();
}
