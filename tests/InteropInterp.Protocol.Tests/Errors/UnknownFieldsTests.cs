using System.Collections;
using Google.Protobuf;
using InteropInterp.Protocol.Errors;
using InteropInterp.Protocol.Tests.Mapping;
using InteropInterp.Protocol.V1;

namespace InteropInterp.Protocol.Tests.Errors;

public class UnknownFieldsTests
{
    // Field 1999, a varint of 1: what a client of tomorrow might send.
    private static readonly byte[] Tomorrow = [0xf8, 0x7c, 0x01];

    public static TheoryData<string> Requests => [.. typeof(Plan).Assembly.GetTypes()
        .Where(t => t.Namespace == typeof(Plan).Namespace && t.Name.EndsWith("Request", StringComparison.Ordinal)).Select(t => t.Name)];

    [Theory, MemberData(nameof(Requests))]
    public void A_field_of_tomorrow_is_refused_wherever_it_stands(string name)
    {
        var type = ((IMessage)Activator.CreateInstance(typeof(Plan).Assembly.GetType($"{typeof(Plan).Namespace}.{name}")!)!).Descriptor;
        var variants = Filled.Variants(type).ToList();
        foreach (var whole in variants.Take(4))
        {
            UnknownFields.Refuse(whole);
            foreach (var index in Enumerable.Range(0, Messages(whole).Count()))
            {
                var copy = type.Parser.ParseFrom(whole.ToByteArray());
                var part = Messages(copy).ElementAt(index);
                part.MergeFrom(Tomorrow);
                var error = Assert.Throws<InterpException>(() => UnknownFields.Refuse(copy));
                Assert.Equal((ErrorCode.InvalidArgument, "UNKNOWN_FIELD"), (error.Code, error.Reason));
                Assert.Contains("1999", error.Message);
                Assert.Contains(part.Descriptor.Name, error.Message);
            }
        }
    }

    [Fact]
    public void The_place_is_named()
    {
        var plan = new Plan { Interventions = { new Intervention { Point = "a" }, new Intervention { Zero = new ZeroOp() } }, Sources = { ["clean"] = new Plan() } };
        plan.Interventions[1].Zero.MergeFrom(Tomorrow);
        Assert.Equal("plan.interventions[1].zero", Assert.Throws<InterpException>(() => UnknownFields.Refuse(new RunPlanRequest { Plan = plan })).Field);
        plan.Interventions.Clear();
        plan.Sources["clean"].MergeFrom(Tomorrow);
        Assert.Equal("plan.sources[\"clean\"]", Assert.Throws<InterpException>(() => UnknownFields.Refuse(new RunPlanRequest { Plan = plan })).Field);
    }

    private static IEnumerable<IMessage> Messages(IMessage message)
    {
        yield return message;
        foreach (var field in message.Descriptor.Fields.InDeclarationOrder())
        {
            var value = field.Accessor.GetValue(message);
            var inner = field.IsMap ? ((IDictionary)value).Values : field.IsRepeated ? (IEnumerable)value : new[] { value };
            foreach (var part in inner.OfType<IMessage>().SelectMany(Messages)) yield return part;
        }
    }
}
