using InteropInterp.Patching.Corruptions;
using InteropInterp.Plans;

namespace InteropInterp.Tests.Patching.Corruptions;

public class TokenReplacementTests
{
    private static readonly Plan Clean = new() { Rows = Row.From([[1, 2, 3, 2, 4], [7, 5, 6, 8, 5]]), Seed = 3 };

    [Fact]
    public void The_tokens_of_a_pair_change_places_in_every_row()
    {
        var corrupt = new TokenReplacement("names", [(2, 3), (5, 6)]).Apply(Clean);
        Assert.Equal([1, 3, 2, 3, 4], corrupt.Rows[0].Tokens);
        Assert.Equal([7, 6, 5, 8, 6], corrupt.Rows[1].Tokens);
        Assert.Equal(3ul, corrupt.Seed);
        var back = new TokenReplacement("names", [(2, 3), (5, 6)]).Apply(corrupt);
        Assert.Equal(Clean.Rows.Select(r => r.Tokens), back.Rows.Select(r => r.Tokens));
    }

    [Fact]
    public void Only_chosen_positions_are_replaced()
    {
        var corrupt = new TokenReplacement("names", [(2, 3), (5, 6)]) { Where = Positions.Slice(0, 2) }.Apply(Clean);
        Assert.Equal([1, 3, 3, 2, 4], corrupt.Rows[0].Tokens);
        Assert.Equal([7, 6, 6, 8, 5], corrupt.Rows[1].Tokens);
    }
}
