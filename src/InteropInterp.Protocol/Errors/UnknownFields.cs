using System.Collections;
using System.Collections.Concurrent;
using System.Reflection;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace InteropInterp.Protocol.Errors;

/// <summary>
/// Refuses messages that hold a field this server does not know: it would be half of what the client asked for. Protobuf keeps
/// such fields, out of sight, in a private field of the generated class.
/// </summary>
public static class UnknownFields
{
    private static readonly ConcurrentDictionary<System.Type, Layout> Layouts = new();

    private sealed record Layout(FieldInfo Unknown, FieldDescriptor[] Messages);

    /// <exception cref="InterpException">UNKNOWN_FIELD: names the message, the field's number and where it stands.</exception>
    public static void Refuse(IMessage message) => Visit(message, "");

    private static void Visit(IMessage message, string path)
    {
        var layout = Layouts.GetOrAdd(message.GetType(), static (type, descriptor) => new Layout(
            type.GetField("_unknownFields", BindingFlags.Instance | BindingFlags.NonPublic)
                ?? throw new InvalidOperationException($"{type} keeps unknown fields elsewhere."),
            [.. descriptor.Fields.InDeclarationOrder().Where(f => ValueOf(f).FieldType == FieldType.Message)]), message.Descriptor);
        if (layout.Unknown.GetValue(message) is UnknownFieldSet set && set.CalculateSize() > 0) throw Unknown(message, set, path);
        foreach (var field in layout.Messages)
        {
            if (field.IsMap)
            {
                foreach (DictionaryEntry entry in (IDictionary)field.Accessor.GetValue(message)) Visit((IMessage)entry.Value!, $"{path}{field.Name}[\"{entry.Key}\"].");
            }
            else if (field.IsRepeated)
            {
                var index = 0;
                foreach (IMessage item in (IEnumerable)field.Accessor.GetValue(message)) Visit(item, $"{path}{field.Name}[{index++}].");
            }
            else if (field.Accessor.GetValue(message) is IMessage inner)
            {
                Visit(inner, $"{path}{field.Name}.");
            }
        }
    }

    private static FieldDescriptor ValueOf(FieldDescriptor field) => field.IsMap ? field.MessageType.FindFieldByNumber(2) : field;

    private static InterpException Unknown(IMessage message, UnknownFieldSet set, string path)
    {
        var bytes = new byte[set.CalculateSize()];
        using (var output = new CodedOutputStream(bytes)) set.WriteTo(output);
        using var input = new CodedInputStream(bytes);
        var number = input.ReadTag() >> 3;
        return new InterpException(ErrorCode.InvalidArgument, "UNKNOWN_FIELD",
            $"{message.Descriptor.Name}{(path.Length > 0 ? $" ({path.TrimEnd('.')})" : "")} has a field {number} that this server does not know, so the request " +
            "is refused as a whole. The client is newer than the server: update the server, or leave the field out.")
        {
            Field = path.TrimEnd('.'),
        };
    }
}
