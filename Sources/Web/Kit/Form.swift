import HTTPTypes
import Hummingbird
import Logging
import Model
import NIOCore
import Telemetry
import TransportSecurity

/// A browser's form (`application/x-www-form-urlencoded`), read completely.
struct Form: Sendable {
    /// The maximum size in bytes. The largest form is the owner's page "About this server", see ``OwnerText/greatest``.
    private static let bodyBytes = WebConfiguration.bodyBytes

    private var fields: [(name: String, value: String)] = []

    /// The first field with a name, without surrounding white space. Nil if it is missing or empty.
    subscript(name: String) -> String? {
        let value = fields.first { $0.name == name }?.value ?? ""
        let trimmed = String(value.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
        return trimmed.isEmpty ? nil : trimmed
    }

    /// The value as entered, for passwords.
    func raw(_ name: String) -> String? { fields.first { $0.name == name }?.value }

    /// All fields by name.
    var values: [String: [String]] { Dictionary(grouping: fields, by: \.name).mapValues { $0.map(\.value) } }

    func all(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

    /// - Throws: ``APIError`` naming the field.
    func require(_ name: String) throws -> String {
        guard let value = self[name] else { throw APIError.badRequest("\(name) is missing.") }
        return value
    }

    /// Reads a form that this server created for this browser.
    /// - Throws: ``APIError`` `forged` if it was not.
    static func read(_ request: Request, _ context: WebContext, _ token: FormToken) async throws -> Form {
        let form = try await read(request, context)
        guard token.matches(form.raw("form")) else { throw forged }
        return form
    }

    /// Reads a form without a token, for pages whose address is already a secret.
    /// - Throws: ``APIError`` `forged` if the browser says that another site sent it.
    static func read(_ request: Request, _ context: WebContext) async throws -> Form {
        // Browsers send the origin of a form. Programs do not.
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

    /// Compared with the address that people use, which `public-url` sets: a web server in front may send another `Host`, or none.
    private static func isOurs(_ origin: String, _ request: Request, _ context: WebContext) -> Bool {
        if origin == context.publicOrigin { return true }
        guard let host = request.head.authority?.lowercased() else { return false }
        return origin == "https://\(host)" || origin == "http://\(host)"
    }

    /// - Parameter body: encoded as browsers send it.
    init(_ body: String) {
        fields = body.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (FormText.decoded(parts[0]), parts.count == 2 ? FormText.decoded(parts[1]) : "")
        }
    }

    /// Anybody can send such forms without limit.
    private static let refused = RateLimitedLog("a form was refused: its page is of another origin")

    private static let forged = APIError(
        .forbidden, "forged", "This form is not from this page or has expired; go back, reload and submit it again.")
}

extension Request {
    /// The query, parsed as a form that browsers send by GET. `uri.queryParameters` is not used, because it does not
    /// convert a plus sign to a blank.
    var sentForm: Form { Form(uri.query ?? "") }
}

/// Encodes text for forms and queries.
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

    /// For a query or a form. Paths stay readable.
    static func encoded(_ text: String) -> String { PercentEncoding.encoded(text, keeping: "/") }
}

extension HTTPField.Name {
    // Valid field names: only an invalid one returns nil.
    static let secFetchSite = Self("Sec-Fetch-Site")!
}
