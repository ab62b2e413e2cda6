using System.Runtime.InteropServices;
using Google.Rpc;
using Grpc.Core;
using InteropInterp.Protocol.Errors;

namespace InteropInterp.Protocol.Tests.Errors;

#pragma warning disable CA2201 // Thrown by the runtime and by libtorch, and made here to be mapped.
public class ErrorMappingTests
{
    public static TheoryData<ErrorCode> Codes => [.. Enum.GetValues<ErrorCode>()];

    [Theory, MemberData(nameof(Codes))]
    public void Every_code_is_gRPCs_of_the_same_name_and_comes_back(ErrorCode code)
    {
        var error = new InterpException(code, "SOME_REASON", "Layer 9 is not there.", ["layer 8", "a \"quoted\", one"]) { Field = "plan.captures[0]" };
        var sent = ErrorMapping.ToRpc(error);
        Assert.Equal(code.ToString(), sent.StatusCode.ToString());
        Assert.Equal(error.Message, sent.Status.Detail);
        var back = ErrorMapping.ToInterp(sent);
        Assert.Equal((error.Code, error.Reason, error.Message, error.Text, error.Field), (back.Code, back.Reason, back.Message, back.Text, back.Field));
        Assert.Equal(error.Suggestions, back.Suggestions);
    }

    [Fact]
    public void A_status_has_one_error_info_and_a_bad_request_where_a_field_is_wrong()
    {
        var status = ErrorMapping.ToStatus(new InterpException(ErrorCode.NotFound, "UNKNOWN_HOOK_POINT", "No such point.", ["hook_z"]));
        var info = Assert.Single(status.Details).Unpack<ErrorInfo>();
        Assert.Equal(("UNKNOWN_HOOK_POINT", "interopinterp", "[\"hook_z\"]"), (info.Reason, info.Domain, info.Metadata["suggestions"]));
        var wrong = ErrorMapping.ToStatus(Fields.Missing("plan.rows", "a row"));
        Assert.Equal("plan.rows", wrong.GetDetail<BadRequest>()!.FieldViolations.Single().Field);
    }

    [Fact]
    public void Whatever_is_thrown_has_a_code_and_a_reason()
    {
        (ErrorCode, string) Of(Exception e) => (ErrorMapping.ToInterp(e).Code, ErrorMapping.ToInterp(e).Reason);
        Assert.Equal((ErrorCode.Cancelled, "CANCELLED"), Of(new TaskCanceledException()));
        Assert.Equal((ErrorCode.ResourceExhausted, "OUT_OF_MEMORY"), Of(new OutOfMemoryException()));
        Assert.Equal((ErrorCode.ResourceExhausted, "OUT_OF_MEMORY"), Of(new ExternalException("CUDA out of memory. Tried to allocate 9.00 GiB.")));
        Assert.Equal((ErrorCode.Internal, "LIBTORCH_ERROR"), Of(new ExternalException("shape\n at C++")));
        Assert.Equal("shape", ErrorMapping.ToInterp(new ExternalException("shape\n at C++")).Text);
        Assert.Equal((ErrorCode.Internal, "INTERNAL_ERROR"), Of(new FormatException()));
    }

    [Fact]
    public void What_comes_from_below_has_its_code_as_reason()
    {
        var error = ErrorMapping.ToInterp(new RpcException(new Grpc.Core.Status(StatusCode.Unavailable, "connection refused")));
        Assert.Equal((ErrorCode.Unavailable, "UNAVAILABLE"), (error.Code, error.Reason));
        Assert.Equal("RESOURCE_EXHAUSTED", ErrorMapping.ToInterp(new RpcException(new Grpc.Core.Status(StatusCode.ResourceExhausted, "too large"))).Reason);
    }
}
