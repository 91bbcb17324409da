import FoundationEssentials
public import NIOCore

/// JSON in and out of byte buffers, with errors that name the field.
public enum JSONText {
    /// - Throws: ``MessageError``: not JSON, a missing field, or a field of the wrong type, by name.
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

    /// Encodes a value of ours; keys in a stable order.
    public static func encode(_ value: some Encodable) -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Our own types hold strings, integers and booleans: there is nothing JSON cannot say.
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
