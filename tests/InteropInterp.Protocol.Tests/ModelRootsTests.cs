namespace InteropInterp.Protocol.Tests;

public sealed class ModelRootsTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly string root;
    private readonly string outside;
    private readonly ModelRoots roots;

    public ModelRootsTests()
    {
        root = Directory.CreateDirectory(folder.File("models")).FullName;
        outside = Directory.CreateDirectory(folder.File("outside")).FullName;
        Directory.CreateDirectory(Path.Combine(root, "model", "inner"));
        File.WriteAllText(Path.Combine(root, "model", "config.json"), "{}");
        File.WriteAllText(Path.Combine(outside, "secret.json"), "{}");
        Directory.CreateDirectory(folder.File("models-of-others"));
        roots = new ModelRoots([root], [Directory.CreateDirectory(folder.File("writable")).FullName], useHuggingFaceCache: false);
    }

    public void Dispose() => folder.Dispose();

    private InterpException Refused(string path) => Assert.Throws<InterpException>(() => roots.ToRead(path));

    [Fact]
    public void What_lies_below_a_root_is_found_by_its_path_there_or_its_whole_path()
    {
        Assert.Equal(Path.Combine(root, "model"), roots.ToRead("model"));
        Assert.Equal(Path.Combine(root, "model", "config.json"), roots.ToRead("model/./inner/../config.json"));
        Assert.Equal(Path.Combine(root, "model"), roots.ToRead(Path.Combine(root, "model")));
    }

    [Theory]
    [InlineData("..")]
    [InlineData("../outside/secret.json")]
    [InlineData("model/../../outside/secret.json")]
    [InlineData("/etc/passwd")]
    [InlineData("/")]
    [InlineData("//etc/passwd")]
    [InlineData("../models-of-others")]
    [InlineData("../nothing")]
    public void Nothing_outside_is_read_and_no_message_says_whether_it_is_there(string path)
    {
        var error = Refused(path);
        Assert.Equal((ErrorCode.PermissionDenied, "PATH_OUTSIDE_ROOTS"), (error.Code, error.Reason));
        Assert.DoesNotContain(folder.Path, error.Message);
        Assert.Empty(error.Suggestions);
    }

    [Fact]
    public void Links_lead_nowhere_outside()
    {
        File.CreateSymbolicLink(Path.Combine(root, "way-out"), outside);
        Assert.Equal("PATH_OUTSIDE_ROOTS", Refused("way-out").Reason);
        Assert.Equal("PATH_OUTSIDE_ROOTS", Refused("way-out/secret.json").Reason);
        // Within the root they are fine; a model's folder is looked through.
        File.CreateSymbolicLink(Path.Combine(root, "alias"), Path.Combine(root, "model"));
        Assert.Equal(Path.Combine(root, "model"), roots.ToRead("alias"));
        File.CreateSymbolicLink(Path.Combine(root, "model", "model.safetensors"), Path.Combine(outside, "secret.json"));
        Assert.Equal("PATH_OUTSIDE_ROOTS", Refused("model").Reason);
    }

    [Fact]
    public void What_is_not_there_is_told_with_the_nearest_names_and_no_path_of_the_server()
    {
        var error = Refused("modell");
        Assert.Equal((ErrorCode.NotFound, "MODEL_NOT_FOUND"), (error.Code, error.Reason));
        Assert.Equal(["model"], error.Suggestions);
        Assert.DoesNotContain(folder.Path, error.Message);
        Assert.Equal("INVALID_PATH", Refused("").Reason);
        Assert.Equal("INVALID_PATH", Refused("a\0b").Reason);
        Assert.Equal("INVALID_PATH", Refused(new string('a', 5000)).Reason);
    }

    [Fact]
    public void Writing_needs_a_writable_root_and_stays_there()
    {
        Assert.Equal(Path.Combine(folder.File("writable"), "new"), roots.ToWrite("new"));
        string Wrong(string path) => Assert.Throws<InterpException>(() => roots.ToWrite(path)).Reason;
        Assert.Equal("PATH_OUTSIDE_ROOTS", Wrong("../models/model"));
        Assert.Equal("PATH_OUTSIDE_ROOTS", Wrong(Path.Combine(root, "model")));
        Assert.Equal("FOLDER_NOT_FOUND", Wrong("no/such/folder"));
        File.CreateSymbolicLink(Path.Combine(folder.File("writable"), "out"), outside);
        Assert.Equal("PATH_OUTSIDE_ROOTS", Wrong("out"));
        Assert.Equal("PATH_OUTSIDE_ROOTS", Wrong("out/new"));
        Assert.Equal("NO_WRITABLE_ROOT", Assert.Throws<InterpException>(() => new ModelRoots([root]).ToWrite("new")).Reason);
    }

    [Fact]
    public void Errors_tell_paths_as_clients_know_them()
    {
        var error = roots.Hide(new InterpException(ErrorCode.DataLoss, "WEIGHT_MISSING", $"'{root}/model/config.json' lacks a weight.", [$"{root}/model/b"]) { Field = "path" });
        Assert.Equal("'model/config.json' lacks a weight. Did you mean 'model/b'?", error.Message);
        Assert.Equal((ErrorCode.DataLoss, "WEIGHT_MISSING", "path"), (error.Code, error.Reason, error.Field));
        var harmless = InterpException.Invalid("A", "b");
        Assert.Same(harmless, roots.Hide(harmless));
    }

    [Fact]
    public void A_root_is_a_folder_that_there_is() =>
        Assert.Equal("ROOT_NOT_FOUND", Assert.Throws<InterpException>(() => new ModelRoots([folder.File("nothing")])).Reason);

    [Fact]
    public void In_process_files_are_the_callers_own()
    {
        Assert.Equal("../anywhere", ModelRoots.Anywhere.ToRead("../anywhere"));
        Assert.Equal("../elsewhere", ModelRoots.Anywhere.ToWrite("../elsewhere"));
    }
}
