using Google.Protobuf;

namespace InteropInterp.Tokens.Loading;

/// <summary>
/// A SentencePiece .model of the BPE kind (message ModelProto of src/sentencepiece_model.proto, google/sentencepiece), tokenized
/// as SentencePiece does: control tokens are not found in a text.
/// </summary>
internal sealed class SentencePieceModel
{
    private const int Bpe = 2;
    private static readonly string[] Kinds = ["?", "Unigram", "BPE", "Word", "Char"];

    private readonly string file;
    private readonly List<Piece> pieces = [];
    private int kind = 1, unknown, bos = 1, eos = 2, pad = -1;
    private bool addsPrefixSpace = true, removesExtraSpaces = true, spaceIsSuffix, hasCharacterMap;

    private SentencePieceModel(string file) => this.file = file;

    public static ITokenizer Read(string file)
    {
        var model = new SentencePieceModel(file);
        try
        {
            using var stream = File.OpenRead(file);
            using var input = new CodedInputStream(stream);
            model.ReadModel(input);
        }
        catch (InvalidProtocolBufferException e)
        {
            throw model.Invalid(e.Message, e);
        }
        return model.Build();
    }

    private ITokenizer Build()
    {
        if (pieces.Count == 0) throw Invalid("it has no pieces.");
        Refuse(kind != Bpe, $"it is of the kind {Kinds.ElementAtOrDefault(kind) ?? "?"}; only BPE is read");
        Refuse(hasCharacterMap, "it normalizes text by a character map");
        Refuse(removesExtraSpaces, "it removes repeated spaces");
        Refuse(spaceIsSuffix, "it puts spaces behind words");
        Refuse(addsPrefixSpace && pieces.Any(piece => piece.Type == PieceType.UserDefined),
            "it has user-defined symbols and a prefix space");
        var special = new SpecialTokens(Id(bos), Id(eos), Id(pad), Id(unknown));
        return new SentencePieces(file, pieces)
        {
            AddsPrefixSpace = addsPrefixSpace,
            AddsBos = true,
            FindsControlTokens = false,
            UnknownSurface = " ⁇ ",
        }.Build(special);
    }

    private InterpException Invalid(string why, Exception? inner = null) =>
        InterpException.DataLoss("SENTENCEPIECE_INVALID", $"'{file}' is not a SentencePiece model: {why}", inner);

    private int? Id(int id) => id >= 0 && id < pieces.Count ? id : null;

    private void Refuse(bool condition, string why)
    {
        if (condition)
            throw new InterpException(ErrorCode.Unimplemented, "TOKENIZER_COMPONENT_UNSUPPORTED",
                $"'{file}' is not read: {why}. Convert it to tokenizer.json.");
    }

    private void ReadModel(CodedInputStream input)
    {
        while (input.ReadTag() is var tag and not 0)
            switch (tag >> 3)
            {
                case 1: pieces.Add(ReadPiece(Message(input))); break;
                case 2: ReadTrainer(Message(input)); break;
                case 3: ReadNormalizer(Message(input)); break;
                default: input.SkipLastField(); break;
            }
    }

    private static Piece ReadPiece(CodedInputStream input)
    {
        var (token, score, type) = ("", 0f, PieceType.Normal);
        while (input.ReadTag() is var tag and not 0)
            switch (tag >> 3)
            {
                case 1: token = input.ReadString(); break;
                case 2: score = input.ReadFloat(); break;
                case 3: type = (PieceType)input.ReadEnum(); break;
                default: input.SkipLastField(); break;
            }
        return new(token, score, type);
    }

    private void ReadTrainer(CodedInputStream input)
    {
        while (input.ReadTag() is var tag and not 0)
            switch (tag >> 3)
            {
                case 3: kind = input.ReadEnum(); break;
                case 24: spaceIsSuffix = input.ReadBool(); break;
                case 40: unknown = input.ReadInt32(); break;
                case 41: bos = input.ReadInt32(); break;
                case 42: eos = input.ReadInt32(); break;
                case 43: pad = input.ReadInt32(); break;
                default: input.SkipLastField(); break;
            }
    }

    private void ReadNormalizer(CodedInputStream input)
    {
        while (input.ReadTag() is var tag and not 0)
            switch (tag >> 3)
            {
                case 2: hasCharacterMap = input.ReadBytes().Length > 0; break;
                case 3: addsPrefixSpace = input.ReadBool(); break;
                case 4: removesExtraSpaces = input.ReadBool(); break;
                default: input.SkipLastField(); break;
            }
    }

    // ReadBytes checks the length against what is left of the file.
    private static CodedInputStream Message(CodedInputStream input) => input.ReadBytes().CreateCodedInput();
}
