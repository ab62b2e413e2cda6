using InteropInterp.Dictionaries;
using InteropInterp.Dictionaries.Architectures;
using InteropInterp.Dictionaries.Formats;
using InteropInterp.Native.Operators;
using InteropInterp.Protocol.V1;
using static InteropInterp.Protocol.Tests.Handlers.InProcess;
using static TorchSharp.torch;

namespace InteropInterp.Protocol.Tests.Handlers;

public class OtherHandlersTests
{
    // Features 0 to 15 are the residual stream's dimensions, 16 to 31 their negatives: reconstruction is exact.
    private static string Dictionary(TemporaryFolder files)
    {
        using var scope = NewDisposeScope();
        var both = cat([eye(16), eye(16).neg()], 0);
        using var dictionary = new SparseDictionary(
            new DictionaryConfig { InputWidth = 16, Width = 32, Metadata = System.Text.Json.JsonDocument.Parse("""{"hook_name": "blocks.1.hook_resid_pre"}""").RootElement },
            new DictionaryWeights(both.clone(), zeros(32), both.clone(), zeros(16)), new Standard());
        SaeLensFolder.Save(dictionary, files.File("sae"));
        return files.File("sae");
    }

    [Fact]
    public void A_dictionary_is_loaded_asked_and_closed()
    {
        using var files = new TemporaryFolder();
        using var client = new InProcess();
        var request = new LoadDictionaryRequest { Path = Dictionary(files) };
        var told = client.Call<LoadDictionaryResponse>(request).Dictionary;
        Assert.Equal(("dictionaries/1", "standard", 16, 32, "blocks.1.hook_resid_pre"), (told.Name, told.Architecture, told.DIn, told.DSae, told.HookName));
        Assert.Contains("\"d_sae\": 32", told.ConfigJson);
        Assert.Equal(told, client.Call<GetDictionaryResponse>(new GetDictionaryRequest { Name = told.Name }).Dictionary);

        var codes = client.Call<EncodeResponse>(new EncodeRequest { Dictionary = told.Name, Activations = Value([.. Enumerable.Range(0, 16).Select(i => i - 8f)]) }).Codes;
        Assert.Equal(7f, client.Floats(codes)[15]);
        Assert.Equal(8f, client.Floats(codes)[16]);
        var back = client.Call<DecodeResponse>(new DecodeRequest { Dictionary = told.Name, Codes = new V1.Tensor { Ref = codes.Ref } }).Activations;
        Assert.Equal(Enumerable.Range(0, 16).Select(i => i - 8f), client.Floats(back));
        Assert.Equal("DICTIONARY_INPUT", client.Refused(new EncodeRequest { Dictionary = told.Name, Activations = Value(1, 2) }));

        var weights = client.Call<GetDictionaryWeightsResponse>(new GetDictionaryWeightsRequest { Dictionary = told.Name }).Weights;
        Assert.Equal([16L, 32L], weights["W_enc"].Ref.Shape);
        Assert.True(weights["W_dec"].Ref.ReadOnly);
        request.FoldWDecNorm = true;
        Assert.Equal("dictionaries/2", client.Call<LoadDictionaryResponse>(request).Dictionary.Name);
        client.Call<CloseDictionaryResponse>(new CloseDictionaryRequest { Name = told.Name });
        Assert.Equal("DICTIONARY_CLOSED", client.Refused(new GetDictionaryRequest { Name = told.Name }));
        Assert.Equal("DICTIONARY_NOT_FOUND", client.Refused(new LoadDictionaryRequest { Path = files.File("nothing") }));
    }

    [Fact]
    public void A_dictionary_serves_in_plans()
    {
        using var files = new TemporaryFolder();
        using var client = new InProcess();
        var model = client.Model();
        var sae = client.Call<LoadDictionaryResponse>(new LoadDictionaryRequest { Path = Dictionary(files) }).Dictionary;
        RunPlanResponse Run(Intervention? intervention) => client.Call<RunPlanResponse>(new RunPlanRequest
        {
            Model = model,
            Plan = new Plan
            {
                Rows = { Row(1, 2, 3) }, Outputs = new Outputs { Logits = LogitsWanted.All },
                Interventions = { intervention is null ? [] : new[] { intervention } },
                Captures = { new Capture { Point = sae.HookName }, new Capture { Point = sae.HookName, Codes = new CodesTransform { Dictionary = sae.Name } } },
            },
        });
        var plain = Run(null);
        var (activation, codes) = (client.Floats(plain.Captures[0].Tensor), client.Floats(plain.Captures[1].Tensor));
        Assert.Equal(Math.Max(0, activation[5]), codes[5]);
        Assert.Equal(Math.Max(0, -activation[5]), codes[21]);

        var spliced = Run(new Intervention { Point = sae.HookName, Splice = new SpliceOp { Dictionary = sae.Name } });
        Assert.Equal(client.Floats(plain.Logits).Select(x => Math.Round(x, 4)), client.Floats(spliced.Logits).Select(x => Math.Round(x, 4)));
        var steered = Run(new Intervention { Point = sae.HookName, Steer = new SteerOp { Dictionary = sae.Name, Feature = 3, Amount = 2 } });
        Assert.Equal(activation[3] + 2, client.Floats(steered.Captures[0].Tensor)[3], 1e-5f);
        var clamped = Run(new Intervention { Point = sae.HookName, Feature = new FeatureOp { Dictionary = sae.Name, Features = { 7, 23 }, Clamp = 0 } });
        Assert.Equal(0, client.Floats(clamped.Captures[0].Tensor)[7], 1e-5f);

        client.Call<CloseDictionaryResponse>(new CloseDictionaryRequest { Name = sae.Name });
        Assert.Equal("DICTIONARY_CLOSED", Assert.Throws<InterpException>(() => Run(null)).Reason);
    }

    [Fact]
    public void Text_becomes_tokens_and_tokens_text()
    {
        using var files = new TemporaryFolder();
        using var client = new InProcess();
        var model = client.Call<LoadModelResponse>(new LoadModelRequest { Path = TinyModel.Write(files.Path) }).Model.Name;
        var tokenized = client.Call<TokenizeResponse>(new TokenizeRequest { Model = model, Texts = { "ab", "a b c" }, WithPieces = true });
        Assert.Equal([TinyModel.EndOfText, 1, 2], tokenized.Rows[0].Tokens);
        Assert.Equal(["<end>", "a", "b"], tokenized.Rows[0].Pieces);
        Assert.Equal((6, TinyModel.EndOfText, PaddingSide.Right), (tokenized.Rows[1].Tokens.Count, tokenized.PadTokenId, tokenized.PaddingSide));
        var bare = client.Call<TokenizeResponse>(new TokenizeRequest { Model = model, Texts = { new string('a', 40) }, PrependBos = false, PaddingSide = PaddingSide.Left });
        Assert.Equal((24, PaddingSide.Left), (bare.Rows[0].Tokens.Count, bare.PaddingSide));
        Assert.Equal(41, client.Call<TokenizeResponse>(new TokenizeRequest { Model = model, Texts = { new string('a', 40) }, KeepLong = true }).Rows[0].Tokens.Count);

        var text = client.Call<DetokenizeResponse>(new DetokenizeRequest { Model = model, Rows = { new TokenRow { Tokens = { 1, 27, 2 } } } }).Rows[0];
        Assert.Equal("a b", text.Text);
        Assert.Equal(["a", " ", "b"], text.Pieces);
        Assert.Equal(26, client.Call<GetSingleTokenResponse>(new GetSingleTokenRequest { Model = model, Text = "z" }).Token);
        Assert.Equal("NOT_A_SINGLE_TOKEN", client.Refused(new GetSingleTokenRequest { Model = model, Text = "zz" }));
        Assert.Equal("TOKEN_ID_OUT_OF_RANGE", client.Refused(new DetokenizeRequest { Model = model, Rows = { new TokenRow { Tokens = { 99 } } } }));
        Assert.Equal("EMPTY_INPUT", client.Refused(new TokenizeRequest { Model = model }));
        Assert.Equal("NO_TOKENIZER", client.Refused(new TokenizeRequest { Model = client.Model(), Texts = { "a" } }));
        var with = client.Call<CreateModelResponse>(new CreateModelRequest { ConfigJson = TinyModel.Json(), TokenizerOf = model }).Model;
        Assert.Equal(29, with.Tokenizer.VocabularySize);
    }

    [Fact]
    public void The_engine_tells_what_it_is()
    {
        using var client = new InProcess();
        var info = client.Call<GetServerInfoResponse>(new GetServerInfoRequest());
        Assert.Equal((1, "2.10.0", 0L), (info.ProtocolRevision, info.Libtorch.Version, info.TensorQuotaBytes));
        Assert.Contains("callbacks", info.Capabilities);
        Assert.Contains("dictionaries", info.Capabilities);
        Assert.NotEmpty(info.Libtorch.Folder);
        Assert.Contains("cpu", info.Devices);
        Assert.Equal(LiveTensors.Count, info.LiveTensors);
        using var far = new InProcess(hasCallbacks: false);
        info = far.Call<GetServerInfoResponse>(new GetServerInfoRequest());
        Assert.Empty(info.Libtorch.Folder);
        Assert.DoesNotContain("callbacks", info.Capabilities);
    }

    [Fact]
    public void Tensors_are_told_about_and_deleted()
    {
        using var client = new InProcess();
        using var scope = NewDisposeScope();
        var stored = client.Tensors.Add(client.Session, zeros([2, 3], ScalarType.BFloat16));
        var told = client.Call<GetTensorResponse>(new GetTensorRequest { Name = stored.Name }).Tensor;
        Assert.Equal((DataType.Bfloat16, 12L), (told.DataType, told.ByteSize));
        Assert.Null(told.ExpireTime);
        client.Call<DeleteTensorsResponse>(new DeleteTensorsRequest { Names = { stored.Name, "tensors/77" } });
        Assert.Equal(0, client.Tensors.Count);
    }
}
