namespace InteropInterp.Native.Tests.Errors;

public class InterpExceptionTests
{
    [Fact]
    public void An_unknown_name_is_told_with_the_nearest_valid_ones()
    {
        var error = InterpException.Unknown("UNKNOWN_MODEL", "model", "gtp2", ["gpt2", "pythia", "gpt2-xl"]);
        Assert.Equal((ErrorCode.NotFound, "UNKNOWN_MODEL"), (error.Code, error.Reason));
        Assert.Equal("Unknown model 'gtp2'. Did you mean 'gpt2'?", error.Message);
        Assert.Equal(["gpt2"], error.Suggestions);
    }

    [Fact]
    public void An_unknown_name_that_is_near_to_none_is_told_with_some_of_those_there_are()
    {
        static string Message(params string[] valid) => InterpException.Unknown("UNKNOWN_MODEL", "model", "zzzzzz", valid).Message;
        Assert.Equal("Unknown model 'zzzzzz'. There are 'a', 'b'.", Message("a", "b"));
        Assert.Equal("Unknown model 'zzzzzz'. There are 'a', 'b', 'c', 'd' and 2 more.", Message("a", "b", "c", "d", "e", "f"));
        Assert.Equal("Unknown model 'zzzzzz'. There is none.", Message());
    }

    [Fact]
    public void Without_suggestions_the_message_stands_as_it_is()
    {
        var error = InterpException.Invalid("BAD_SHAPE", "Expected [2], got [3].");
        Assert.Equal("Expected [2], got [3].", error.Message);
        Assert.Empty(error.Suggestions);
    }

    [Fact]
    public void Each_helper_has_its_code()
    {
        Assert.Equal(ErrorCode.InvalidArgument, InterpException.Invalid("R", "m").Code);
        Assert.Equal(ErrorCode.OutOfRange, InterpException.OutOfRange("R", "m").Code);
        Assert.Equal(ErrorCode.FailedPrecondition, InterpException.Precondition("R", "m").Code);
        Assert.Equal(ErrorCode.NotFound, InterpException.NotFound("R", "m").Code);
        var cause = new IOException();
        var loss = InterpException.DataLoss("R", "m", cause);
        Assert.Equal((ErrorCode.DataLoss, cause), (loss.Code, loss.InnerException));
    }

    [Fact]
    public void A_requirement_throws_only_when_it_does_not_hold()
    {
        InterpException.Require(true, "R", "m");
        Assert.Equal("R", Assert.Throws<InterpException>(() => InterpException.Require(false, "R", "m")).Reason);
    }
}
