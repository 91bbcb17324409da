import HTTPTypes
import Hummingbird
import Logging
import Model
import NIOCore
import Telemetry
import TransportSecurity

/// A browser's form (`application/x-www-form-urlencoded`), read whole.
struct Form: Sendable {
    /// The largest form is the owner's page "About this server", in bytes; see ``OwnerText/greatest``.
    private static let bodyBytes = WebConfiguration.bodyBytes

    private var fields: [(name: String, value: String)] = []

    /// The first field of a name, without white space at its ends; nil when it is missing or empty.
    subscript(name: String) -> String? {
        let value = fields.first { $0.name == name }?.value ?? ""
        let trimmed = String(value.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
        return trimmed.isEmpty ? nil : trimmed
    }

    /// As it was typed: for passwords.
    func raw(_ name: String) -> String? { fields.first { $0.name == name }?.value }

    /// All fields by name.
    var values: [String: [String]] { Dictionary(grouping: fields, by: \.name).mapValues { $0.map(\.value) } }

    func all(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

    /// - Throws: ``APIError`` naming the field.
    func require(_ name: String) throws -> String {
        guard let value = self[name] else { throw APIError.badRequest("\(name) is missing.") }
        return value
    }

    /// Reads a form that this server made for this browser.
    /// - Throws: ``APIError`` `forged` when it was not.
    static func read(_ request: Request, _ context: WebContext, _ token: FormToken) async throws -> Form {
        let form = try await read(request, context)
        guard token.matches(form.raw("form")) else { throw forged }
        return form
    }

    /// Reads a form without a token: for pages whose address is a secret already.
    /// - Throws: ``APIError`` `forged` when the browser says that another site sent it.
    static func read(_ request: Request, _ context: WebContext) async throws -> Form {
        // Browsers say where a form was sent from; programs do not.
        if let site = request.headers[.secFetchSite], site != "same-origin" && site != "none" { throw forged }
        if let origin = request.headers[.origin]?.lowercased(), !isOurs(origin, request, context) {
            refused.log(
                to: context.logger,
                metadata: [
                    "origin": "\(origin.prefix(256))", "host": "\((request.head.authority ?? "").prefix(256))",
                    "public-url": "\(context.publicOrigin ?? "not set")",
                ])
            throw forged
        }
        return Form(String(buffer: try await request.body.collect(upTo: bodyBytes)))
    }

    /// What people type counts, and `public-url` says what that is: a web server in front may write another `Host`, or none.
    private static func isOurs(_ origin: String, _ request: Request, _ context: WebContext) -> Bool {
        if origin == context.publicOrigin { return true }
        guard let host = request.head.authority?.lowercased() else { return false }
        return origin == "https://\(host)" || origin == "http://\(host)"
    }

    /// - Parameter body: as browsers send it.
    init(_ body: String) {
        fields = body.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (FormText.decoded(parts[0]), parts.count == 2 ? FormText.decoded(parts[1]) : "")
        }
    }

    /// Anybody can send such forms, in any number.
    private static let refused = RateLimitedLog("a form was refused: its page has another origin than this server")

    private static let forged = APIError(
        .forbidden, "forged", "This form is not from this page, or is too old; go back, reload and send it again.")
}

extension Request {
    /// The query as browsers send a form by GET; not `uri.queryParameters`, which leaves a plus sign for a blank as it is.
    var sentForm: Form { Form(uri.query ?? "") }
}

/// The text of forms and queries.
enum FormText {
    static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "+") {
                bytes.append(UInt8(ascii: " "))
            } else if byte == UInt8(ascii: "%"), rest.count >= 2,
                let high = Hexadecimal.value(rest[rest.startIndex]),
                let low = Hexadecimal.value(rest[rest.startIndex + 1])
            {
                let value = high << 4 | low
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// For a query or a form; paths stay readable.
    static func encoded(_ text: String) -> String { PercentEncoding.encoded(text, keeping: "/") }
}

extension HTTPField.Name {
    // Valid field names; only an invalid one would give nil.
    static let secFetchSite = Self("Sec-Fetch-Site")!
}
