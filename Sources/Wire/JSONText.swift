import FoundationEssentials
public import NIOCore

/// Encodes and decodes JSON in byte buffers, with errors that name the field.
public enum JSONText {
    /// - Throws: ``MessageError`` if the text is not JSON, or if a field is missing or has the wrong type. It names the
    ///   field.
    public static func decode<Value: Decodable>(
        _ type: Value.Type, from buffer: ByteBuffer
    ) throws(MessageError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(buffer.readableBytesView))
        } catch let error as DecodingError {
            throw MessageError(describe(error))
        } catch {
            throw MessageError("not valid JSON")
        }
    }

    /// Encodes one of our own values, with keys in a stable order.
    public static func encode(_ value: some Encodable) -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Our own types contain only strings, integers and booleans, which JSON can always represent.
        guard let data = try? encoder.encode(value) else {
            preconditionFailure("a message type that JSON cannot express")
        }
        return ByteBuffer(bytes: data)
    }

    /// A string as a JSON literal.
    public static func quoted(_ text: String) -> String { String(buffer: encode(text)) }

    private static func describe(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, let context): return "\(path(context.codingPath + [key])) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            let field = path(context.codingPath)
            return field.isEmpty ? "the message is not a JSON object" : "\(field) has the wrong type"
        case .dataCorrupted(let context):
            let field = path(context.codingPath)
            return field.isEmpty ? "not valid JSON" : "\(field) is not valid"
        @unknown default: return "not valid JSON"
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        keys.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    }
}
