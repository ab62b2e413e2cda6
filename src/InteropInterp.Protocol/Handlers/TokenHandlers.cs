using InteropInterp.Protocol.Mapping;
using InteropInterp.Protocol.V1;
using InteropInterp.Tokens;

namespace InteropInterp.Protocol.Handlers;

/// <summary>Converts text and token ids.</summary>
public sealed class TokenHandlers(Workspace workspace)
{
    public ValueTask<TokenizeResponse> Tokenize(TokenizeRequest request, HandlerContext context) => Aside(request.Model, context, tokenizer =>
    {
        var side = ModelMapping.ToEngine(request.PaddingSide, "padding_side");
        var rows = tokenizer.ToTokens(request.Texts, request.HasPrependBos ? request.PrependBos : null, side, truncate: !request.KeepLong);
        var response = new TokenizeResponse
        {
            Rows = { rows.Rows.Select(ids => new TokenRow { Tokens = { ids }, Pieces = { request.WithPieces ? tokenizer.ToStrTokens(ids) : [] } }) },
            PaddingSide = ModelMapping.ToProto(rows.PaddingSide),
        };
        if (rows.PadId is { } pad) response.PadTokenId = pad;
        return response;
    });

    public ValueTask<DetokenizeResponse> Detokenize(DetokenizeRequest request, HandlerContext context) => Aside(request.Model, context, tokenizer =>
        new DetokenizeResponse
        {
            Rows =
            {
                request.Rows.Select(row =>
                {
                    var ids = row.Tokens.ToArray();
                    return new DetokenizedRow { Text = tokenizer.ToText(ids), Pieces = { tokenizer.ToStrTokens(ids) } };
                }),
            },
        });

    public ValueTask<GetSingleTokenResponse> GetSingleToken(GetSingleTokenRequest request, HandlerContext context) =>
        Aside(request.Model, context, tokenizer => new GetSingleTokenResponse { Token = tokenizer.ToSingleToken(request.Text) });

    private async ValueTask<TResponse> Aside<TResponse>(string name, HandlerContext context, Func<ModelTokenizer, TResponse> convert)
    {
        using var model = context.Session.Models.Take(name);
        var tokenizer = model.Value.Tokenizer;
        return await workspace.Work.Aside(() => convert(tokenizer), context.Cancellation).ConfigureAwait(false);
    }
}
