using Google.Protobuf;
using Google.Protobuf.Reflection;
using InteropInterp.Protocol.Handlers;
using InteropInterp.Protocol.V1;

namespace InteropInterp.Protocol.Methods;

/// <summary>Every method and its handler: what gRPC and the in-process door offer alike.</summary>
public sealed class MethodTable
{
    private readonly List<UnaryMethod> methods = [];

    public MethodTable(Workspace workspace)
    {
        Runs = new RunHandlers(workspace);
        Tensors = new TensorHandlers(workspace);
        AddModels(new ModelHandlers(workspace));
        AddTokens(new TokenHandlers(workspace));
        AddRuns();
        AddAnalyses(new AnalysisHandlers(workspace), new LensHandlers(workspace));
        AddCircuits(new CircuitHandlers(workspace));
        AddWeights(new WeightHandlers(workspace));
        AddHeads(new HeadHandlers(workspace));
        AddTensors();
        AddDictionaries(new DictionaryHandlers(workspace));
        AddStreams(new StreamHandlers(workspace));
        AddNeurons(new NeuronHandlers(workspace));
        AddServer(new ServerHandlers(workspace));
    }

    /// <summary>Methods with one request and one response.</summary>
    public IReadOnlyList<UnaryMethod> Unary => methods;

    /// <summary>What the streaming methods are made of.</summary>
    public RunHandlers Runs { get; }

    public TensorHandlers Tensors { get; }

    /// <summary>A method by its full name.</summary>
    /// <exception cref="InterpException">UNKNOWN_METHOD with the nearest names.</exception>
    public UnaryMethod Find(string fullName) => methods.Find(m => m.FullName == fullName)
        ?? throw InterpException.Unknown("UNKNOWN_METHOD", "method", fullName, methods.Select(m => m.FullName));

    private void AddModels(ModelHandlers models)
    {
        var service = ModelService.Descriptor;
        Add<LoadModelRequest, LoadModelResponse>(service, "LoadModel", models.LoadModel);
        Add<CreateModelRequest, CreateModelResponse>(service, "CreateModel", models.CreateModel, takesTensors: true);
        Add<ListModelsRequest, ListModelsResponse>(service, "ListModels", ModelHandlers.ListModels);
        Add<GetModelRequest, GetModelResponse>(service, "GetModel", ModelHandlers.GetModel);
        Add<CloseModelRequest, CloseModelResponse>(service, "CloseModel", ModelHandlers.CloseModel);
        Add<SaveModelRequest, SaveModelResponse>(service, "SaveModel", models.SaveModel);
        Add<ListHookPointsRequest, ListHookPointsResponse>(service, "ListHookPoints", ModelHandlers.ListHookPoints);
        Add<ListWeightsRequest, ListWeightsResponse>(service, "ListWeights", ModelHandlers.ListWeights);
        Add<GetWeightsRequest, GetWeightsResponse>(service, "GetWeights", models.GetWeights);
    }

    private void AddTokens(TokenHandlers tokens)
    {
        var service = TokenService.Descriptor;
        Add<TokenizeRequest, TokenizeResponse>(service, "Tokenize", tokens.Tokenize);
        Add<DetokenizeRequest, DetokenizeResponse>(service, "Detokenize", tokens.Detokenize);
        Add<GetSingleTokenRequest, GetSingleTokenResponse>(service, "GetSingleToken", tokens.GetSingleToken);
    }

    private void AddRuns()
    {
        var service = RunService.Descriptor;
        Add<RunPlanRequest, RunPlanResponse>(service, "RunPlan", Runs.RunPlan, takesTensors: true);
        Add<CheckPlanRequest, CheckPlanResponse>(service, "CheckPlan", Runs.CheckPlan, takesTensors: true);
        Add<RunSweepRequest, RunSweepResponse>(service, "RunSweep", Runs.RunSweep, takesTensors: true);
    }

    private void AddAnalyses(AnalysisHandlers analyses, LensHandlers lenses)
    {
        var service = AnalysisService.Descriptor;
        Add<AttributeNodesRequest, AttributeNodesResponse>(service, "AttributeNodes", analyses.AttributeNodes, takesTensors: true);
        Add<AttributeEdgesRequest, AttributeEdgesResponse>(service, "AttributeEdges", analyses.AttributeEdges, takesTensors: true);
        Add<PatchPathsRequest, PatchPathsResponse>(service, "PatchPaths", analyses.PatchPaths, takesTensors: true);
        Add<ReadLensRequest, ReadLensResponse>(service, "ReadLens", lenses.ReadLens, takesTensors: true);
        Add<AttributeLogitsRequest, AttributeLogitsResponse>(service, "AttributeLogits", lenses.AttributeLogits, takesTensors: true);
        Add<TrainTunedLensRequest, TrainTunedLensResponse>(LensService.Descriptor, "TrainTunedLens", lenses.TrainTunedLens);
    }

    private void AddCircuits(CircuitHandlers circuits)
    {
        var service = CircuitService.Descriptor;
        Add<GetResidualGraphRequest, GetResidualGraphResponse>(service, "GetResidualGraph", CircuitHandlers.GetResidualGraph);
        Add<FindCircuitRequest, FindCircuitResponse>(service, "FindCircuit", circuits.FindCircuit, takesTensors: true);
        Add<EvaluateCircuitsRequest, EvaluateCircuitsResponse>(service, "EvaluateCircuits", circuits.EvaluateCircuits, takesTensors: true);
        Add<KnockOutNodesRequest, KnockOutNodesResponse>(service, "KnockOutNodes", circuits.KnockOutNodes, takesTensors: true);
        Add<MeasureNodesRequest, MeasureNodesResponse>(service, "MeasureNodes", circuits.MeasureNodes, takesTensors: true);
    }

    private void AddWeights(WeightHandlers weights)
    {
        var service = WeightService.Descriptor;
        Add<GetEigenvaluesRequest, GetEigenvaluesResponse>(service, "GetEigenvalues", weights.GetEigenvalues);
        Add<ScoreCompositionRequest, ScoreCompositionResponse>(service, "ScoreComposition", weights.ScoreComposition);
        Add<GetVirtualHeadRequest, GetVirtualHeadResponse>(service, "GetVirtualHead", weights.GetVirtualHead, takesTensors: true);
        Add<GetSingularDirectionsRequest, GetSingularDirectionsResponse>(service, "GetSingularDirections", weights.GetSingularDirections);
        Add<ListTopEntriesRequest, ListTopEntriesResponse>(service, "ListTopEntries", weights.ListTopEntries);
        Add<ListBigramsRequest, ListBigramsResponse>(service, "ListBigrams", weights.ListBigrams);
        Add<ListSkipTrigramsRequest, ListSkipTrigramsResponse>(service, "ListSkipTrigrams", weights.ListSkipTrigrams);
        Add<MeasureTermsRequest, MeasureTermsResponse>(service, "MeasureTerms", weights.MeasureTerms);
    }

    private void AddHeads(HeadHandlers heads)
    {
        var service = HeadService.Descriptor;
        Add<DetectHeadsRequest, DetectHeadsResponse>(service, "DetectHeads", heads.DetectHeads, takesTensors: true);
        Add<ScoreHeadsRequest, ScoreHeadsResponse>(service, "ScoreHeads", heads.ScoreHeads);
        Add<WeighAttentionRequest, WeighAttentionResponse>(service, "WeighAttention", heads.WeighAttention, takesTensors: true);
    }

    private void AddTensors()
    {
        var service = TensorService.Descriptor;
        Add<GetTensorRequest, GetTensorResponse>(service, "GetTensor", Tensors.GetTensor);
        Add<DeleteTensorsRequest, DeleteTensorsResponse>(service, "DeleteTensors", Tensors.DeleteTensors);
        Add<MapTensorRequest, MapTensorResponse>(service, "MapTensor", Tensors.MapTensor, isForProcess: false);
        Add<UnmapTensorRequest, UnmapTensorResponse>(service, "UnmapTensor", Tensors.UnmapTensor, isForProcess: false);
    }

    private void AddDictionaries(DictionaryHandlers dictionaries)
    {
        var service = DictionaryService.Descriptor;
        Add<LoadDictionaryRequest, LoadDictionaryResponse>(service, "LoadDictionary", dictionaries.LoadDictionary);
        Add<GetDictionaryRequest, GetDictionaryResponse>(service, "GetDictionary", DictionaryHandlers.GetDictionary);
        Add<CloseDictionaryRequest, CloseDictionaryResponse>(service, "CloseDictionary", DictionaryHandlers.CloseDictionary);
        Add<EncodeRequest, EncodeResponse>(service, "Encode", dictionaries.Encode, takesTensors: true);
        Add<DecodeRequest, DecodeResponse>(service, "Decode", dictionaries.Decode, takesTensors: true);
        Add<GetDictionaryWeightsRequest, GetDictionaryWeightsResponse>(service, "GetDictionaryWeights", dictionaries.GetDictionaryWeights);
    }

    private void AddStreams(StreamHandlers streams)
    {
        var service = StreamService.Descriptor;
        Add<StartStreamRequest, StartStreamResponse>(service, "StartStream", streams.StartStream, takesTensors: true);
        Add<AdvanceStreamRequest, AdvanceStreamResponse>(service, "AdvanceStream", streams.AdvanceStream);
        Add<GetStreamResultRequest, GetStreamResultResponse>(service, "GetStreamResult", streams.GetStreamResult);
        Add<SaveStreamRequest, SaveStreamResponse>(service, "SaveStream", streams.SaveStream);
        Add<CloseStreamRequest, CloseStreamResponse>(service, "CloseStream", StreamHandlers.CloseStream);
    }

    private void AddNeurons(NeuronHandlers neurons)
    {
        var service = NeuronService.Descriptor;
        Add<WeighNeuronsRequest, WeighNeuronsResponse>(service, "WeighNeurons", neurons.WeighNeurons);
        Add<FitSparseProbesRequest, FitSparseProbesResponse>(service, "FitSparseProbes", neurons.FitSparseProbes, takesTensors: true);
    }

    private void AddServer(ServerHandlers server)
    {
        var service = ServerService.Descriptor;
        Add<GetServerInfoRequest, GetServerInfoResponse>(service, "GetServerInfo", server.GetServerInfo);
        Add<EndSessionRequest, EndSessionResponse>(service, "EndSession", ServerHandlers.EndSession);
    }

    private void Add<TRequest, TResponse>(
        ServiceDescriptor service, string name, Func<TRequest, HandlerContext, ValueTask<TResponse>> handler,
        bool takesTensors = false, bool isForProcess = true)
        where TRequest : class, IMessage<TRequest>, new()
        where TResponse : class, IMessage<TResponse>, new() =>
        methods.Add(new UnaryMethod<TRequest, TResponse>(service, name, handler) { TakesTensors = takesTensors, IsForProcess = isForProcess });
}
