using InteropInterp.Training;
using static TorchSharp.torch;

namespace InteropInterp.Tests.Training;

public class CheckpointTests
{
    private static KeyValuePair<string, Tensor> Named(string name, Tensor tensor) => KeyValuePair.Create(name, tensor);

    [Fact]
    public void What_was_saved_comes_back()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        Checkpoint.Save(folder.File("c"), "test", 7, "{\"a\":1}",
            [Named("w", tensor(new float[] { 0, 1, 2, 3, 4, 5 }, [2, 3])), Named("n", tensor(3f))]);
        using var checkpoint = Checkpoint.Open(folder.File("c"), "test");
        var w = zeros(2, 3);
        checkpoint.CopyInto([Named("w", w)]);
        Assert.Equal((7, "{\"a\":1}"), (checkpoint.Step, checkpoint.Settings));
        Assert.Equal([0, 1, 2, 3, 4, 5], w.data<float>().ToArray());
        Assert.Equal(3, checkpoint.Read("n").item<float>());
    }

    [Fact]
    public void Another_trainers_or_a_plain_file_is_refused()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        Checkpoint.Save(folder.File("c"), "test", 7, "{}", [Named("w", zeros(2))]);
        InteropInterp.Tensors.SafeTensors.Save(folder.File("plain"), [Named("w", zeros(2))]);
        Assert.Contains("'test'", Invalid(() => Checkpoint.Open(folder.File("c"), "induction")));
        Assert.Contains("no checkpoint", Invalid(() => Checkpoint.Open(folder.File("plain"), "induction")));
        Assert.Equal("FILE_NOT_FOUND", Assert.Throws<InterpException>(() => Checkpoint.Open(folder.File("absent"), "induction")).Reason);
    }

    [Fact]
    public void Tensors_that_do_not_fit_are_refused_before_the_run_is_changed()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        Checkpoint.Save(folder.File("c"), "test", 7, "{}", [Named("w", ones(2)), Named("v", ones(3))]);
        using var checkpoint = Checkpoint.Open(folder.File("c"), "test");
        Assert.Contains("[3]", Invalid(() => checkpoint.CopyInto([Named("v", zeros(2))])));
        Assert.Contains("Float64", Invalid(() => checkpoint.CopyInto([Named("w", zeros(2, ScalarType.Float64))])));
        Assert.Contains("'u'", Invalid(() => checkpoint.CopyInto([Named("u", zeros(2))])));
    }

    private static string Invalid(Action action)
    {
        var error = Assert.Throws<InterpException>(action);
        Assert.Equal("CHECKPOINT_INVALID", error.Reason);
        return error.Message;
    }
}
