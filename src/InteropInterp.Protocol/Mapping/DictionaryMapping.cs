using InteropInterp.Dictionaries;
using InteropInterp.Dictionaries.Formats;
using InteropInterp.Models;
using InteropInterp.Protocol.Sessions;
using TorchSharp;

namespace InteropInterp.Protocol.Mapping;

/// <summary>Dictionaries and how they are loaded.</summary>
public static class DictionaryMapping
{
    /// <param name="device">Where a message names none.</param>
    /// <exception cref="InterpException">UNKNOWN_ENUM_VALUE.</exception>
    public static DictionaryOptions ToEngine(V1.LoadDictionaryRequest message, string device = "cpu") => new()
    {
        DataType = message.DataType == V1.DataType.Unspecified ? torch.ScalarType.Float32 : DataTypes.ToEngine(message.DataType, "data_type"),
        Device = message.Device.Length > 0 ? message.Device : device,
        ActivationScale = message.HasActivationScale ? message.ActivationScale : null,
        IgnoreUnknownFields = message.IgnoreUnknownFields,
    };

    public static V1.Dictionary ToProto(string name, DictionaryHandle handle) => new()
    {
        Name = name,
        Architecture = handle.Dictionary.Architecture.Name,
        DIn = handle.Dictionary.Config.InputWidth,
        DSae = handle.Dictionary.Config.Width,
        HookName = handle.Dictionary.Config.HookName ?? "",
        DataType = DataTypes.ToProto(handle.Dictionary.DataType),
        Device = Devices.Name(handle.Dictionary.Device),
        ConfigJson = SaeLensFolder.ConfigJson(handle.Dictionary),
        Digest = handle.Share.Digest,
    };
}
