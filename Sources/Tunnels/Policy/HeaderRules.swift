import HTTP1
import NIOCore
import Wire

/// Checked changes of a message's fields.
struct HeaderRules: Sendable {
    /// The maximum number of fields that one policy sets or removes.
    private static let limit = 50
    /// The maximum size of a value, in bytes.
    private static let valueBytes = 4096
    /// Fields that frame or route a message, or that the edge sets itself.
    private static let reserved: Set<String> = [
        "connection", "content-length", "forwarded", "host", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
    ]

    /// In lower case: these are removed, also those that are set anew.
    let removed: Set<String>
    /// The lines to add.
    let lines: ByteBuffer

    /// - Throws: ``AccessRules/Problem``.
    init(_ edits: HeaderEdits) throws(AccessRules.Problem) {
        let set = (edits.set ?? [:]).sorted { $0.key < $1.key }
        guard set.count + (edits.remove?.count ?? 0) <= Self.limit else {
            throw AccessRules.Problem(message: "A policy changes at most \(Self.limit) headers.")
        }
        var names: Set<String> = []
        var lines = ByteBuffer()
        for name in edits.remove ?? [] { names.insert(try Self.checked(name)) }
        for (name, value) in set {
            names.insert(try Self.checked(name))
            // A cookie for a whole domain would reach other tunnels. Services set their own cookies, which are checked.
            guard name.lowercased() != "set-cookie" else {
                throw AccessRules.Problem(message: "Set-Cookie cannot be set by a policy; let the service set it.")
            }
            guard value.utf8.count <= Self.valueBytes, value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
                throw AccessRules.Problem(
                    message: "The value of \(name) has control characters, or more than \(Self.valueBytes) bytes.")
            }
            lines.writeString("\(name): \(value)\r\n")
        }
        removed = names
        self.lines = lines
    }

    private static func checked(_ name: String) throws(AccessRules.Problem) -> String {
        let lower = name.lowercased()
        let isToken =
            !name.isEmpty && name.utf8.count <= 128
            && name.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
        guard isToken else {
            throw AccessRules.Problem(message: "'\(name.prefix(64))' is not a header name, as in X-Api-Version.")
        }
        guard !reserved.contains(lower), !lower.hasPrefix("x-postern-") else {
            throw AccessRules.Problem(message: "The header \(name) cannot be changed: it frames or routes the message.")
        }
        return lower
    }

    /// Whether a field stays.
    func keeps(_ field: FieldBlock.Field, of block: FieldBlock) -> Bool {
        removed.isEmpty || !removed.contains(block.nameText(field).lowercased())
    }
}
