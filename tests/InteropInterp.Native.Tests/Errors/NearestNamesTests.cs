namespace InteropInterp.Native.Tests.Errors;

public class NearestNamesTests
{
    private static readonly string[] Hooks =
    [
        "blocks.0.hook_resid_pre", "blocks.0.hook_resid_post", "blocks.0.attn.hook_q", "blocks.0.attn.hook_k",
        "hook_embed", "hook_pos_embed",
    ];

    [Theory]
    [InlineData("blocks.0.hook_resid_pr", "blocks.0.hook_resid_pre")]
    [InlineData("blocks.0.attn.hook_Q", "blocks.0.attn.hook_q")]
    [InlineData("hook_emebd", "hook_embed")]
    [InlineData("HOOK_EMBED", "hook_embed")]
    public void A_slip_finds_its_name_first(string slip, string name) => Assert.Equal(name, NearestNames.Find(slip, Hooks)[0]);

    [Fact]
    public void A_part_of_a_name_finds_it() =>
        Assert.Equal(["blocks.0.hook_resid_post", "blocks.0.hook_resid_pre"], NearestNames.Find("hook_resid_p", Hooks));

    [Theory]
    [InlineData("something else entirely")]
    [InlineData("")]
    public void What_is_no_slip_finds_nothing(string name) => Assert.Empty(NearestNames.Find(name, Hooks));

    [Fact]
    public void No_more_than_the_limit_and_none_twice() =>
        Assert.Equal(["ab1", "ab2"], NearestNames.Find("ab", ["ab3", "ab1", "ab2", "ab1"], limit: 2));
}
