using System.Collections;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace InteropInterp.Protocol.Tests.Mapping;

/// <summary>
/// Messages of a type with every field set to something that is not its default. A oneof can hold one field at a time, so there is
/// a message for each: together they have every field of the type, and of the types within.
/// </summary>
internal static class Filled
{
    public static IEnumerable<IMessage> Variants(MessageDescriptor type) => Variants(type, []);

    // A plan holds plans: one within is enough.
    private static IEnumerable<IMessage> Variants(MessageDescriptor type, IReadOnlyList<MessageDescriptor> within)
    {
        var oneofs = type.RealOneofCount();
        var most = type.Oneofs.Take(oneofs).Select(o => o.Fields.Count).DefaultIfEmpty(1).Max();
        for (var variant = 0; variant < most; variant++)
        {
            // A field of a message type takes each of that type's own variants in turn.
            var inner = type.Fields.InDeclarationOrder().Where(f => Holds(f) is { } held && within.Count(w => w == held) < 2 && IsChosen(f, variant))
                .ToDictionary(f => f, f => Variants(Holds(f)!, [.. within, type]).ToList());
            for (var turn = 0; turn < inner.Values.Select(v => v.Count).DefaultIfEmpty(1).Max(); turn++)
            {
                var message = (IMessage)Activator.CreateInstance(type.ClrType)!;
                foreach (var field in type.Fields.InDeclarationOrder())
                    if (IsChosen(field, variant)) Set(message, field, inner, turn);
                yield return message;
            }
        }
    }

    private static bool IsChosen(FieldDescriptor field, int variant) =>
        field.RealContainingOneof is not { } oneof || oneof.Fields[variant % oneof.Fields.Count] == field;

    private static MessageDescriptor? Holds(FieldDescriptor field)
    {
        var value = field.IsMap ? field.MessageType.FindFieldByNumber(2) : field;
        return value.FieldType == FieldType.Message ? value.MessageType : null;
    }

    private static void Set(IMessage message, FieldDescriptor field, Dictionary<FieldDescriptor, List<IMessage>> inner, int turn)
    {
        if (Holds(field) is not null && !inner.ContainsKey(field)) return;
        object Value() => Holds(field) is null ? Number(field.IsMap ? field.MessageType.FindFieldByNumber(2) : field) : inner[field][turn % inner[field].Count];
        if (field.IsMap) ((IDictionary)field.Accessor.GetValue(message))[field.FullName] = Value();
        else if (field.IsRepeated) ((IList)field.Accessor.GetValue(message)).Add(Value());
        else field.Accessor.SetValue(message, Value());
    }

    private static object Number(FieldDescriptor field) => field.FieldType switch
    {
        FieldType.Bool => true,
        FieldType.Int32 => field.FieldNumber + 2,
        FieldType.Int64 => field.FieldNumber + 2L,
        FieldType.UInt64 => (ulong)field.FieldNumber + 2,
        FieldType.Double => field.FieldNumber + 0.5,
        FieldType.String => field.FullName,
        FieldType.Bytes => ByteString.CopyFrom(new byte[field.FieldNumber]),
        FieldType.Enum => field.EnumType.Values[^1].Number,
        var other => throw new NotSupportedException($"{field.FullName} is of type {other}."),
    };

    private static int RealOneofCount(this MessageDescriptor type) => type.Oneofs.Count(o => !o.IsSynthetic);
}
