import FoundationEssentials
import NIOCore
import NIOHTTP1
import Model
import Outbound
import TransportSecurity

/// Requests to a provider: over HTTPS, or in plain text to this machine only.
struct ProviderHTTP: Sendable {
    /// Maximum size of an answer, in bytes. The largest one is the provider's set of keys.
    private static let bodyBytes = 256 << 10

    let client: HTTPClient
    let tls: TLSContext

    /// - Parameter bearer: an access token.
    /// - Throws: ``IdentityError`` `.provider`.
    func get<Value: Decodable>(_ url: String, bearer: String? = nil, as type: Value.Type) async throws -> Value {
        var headers: HTTPHeaders = [:]
        if let bearer { headers.add(name: "Authorization", value: "Bearer \(bearer)") }
        return try await send(.GET, url, headers, body: nil, as: type)
    }

    /// Sends a form and parses the JSON answer.
    /// - Throws: ``IdentityError`` `.provider`.
    func post<Value: Decodable>(
        _ url: String, _ fields: [(String, String)], basic: (String, String)? = nil, as type: Value.Type
    ) async throws -> Value {
        let form = fields.map { "\($0.0)=\(PercentEncoding.encoded($0.1))" }.joined(separator: "&")
        var headers: HTTPHeaders = ["Content-Type": "application/x-www-form-urlencoded"]
        if let (name, secret) = basic {
            // RFC 6749, section 2.3.1: each part is form-encoded first.
            let pair = "\(PercentEncoding.encoded(name)):\(PercentEncoding.encoded(secret))"
            let padding = String(repeating: "=", count: (3 - pair.utf8.count % 3) % 3)
            headers.add(name: "Authorization", value: "Basic \(Base64.text(Array(pair.utf8)))\(padding)")
        }
        return try await send(.POST, url, headers, body: ByteBuffer(string: form), as: type)
    }

    private func send<Value: Decodable>(
        _ method: HTTPMethod, _ url: String, _ more: HTTPHeaders, body: ByteBuffer?, as: Value.Type
    ) async throws -> Value {
        let (address, isPlain) = try Self.address(url)
        var headers: HTTPHeaders = [
            "Accept": "application/json", "User-Agent": "postern",
        ]
        headers.add(contentsOf: more)
        let request = HTTPRequest(method, address.path, headers: headers, body: body.map { .bytes($0) } ?? .none)
        let answer: HTTPAnswer
        do {
            answer = try await client.exchange(
                Endpoint(host: address.host, port: address.port, tls: isPlain ? nil : tls), request,
                bodyBytes: Self.bodyBytes)
        } catch {
            throw IdentityError(
                .provider, "\(address.authority) cannot be reached: \(NetworkError.sentence(error))")
        }
        // GitHub reports errors with status 200, others with 400, both in the same format.
        let problem = try? JSONDecoder().decode(Problem.self, from: Data(answer.body.readableBytesView))
        if let problem { throw IdentityError(.provider, "\(address.authority) returned an error: \(problem.sentence)") }
        guard (200..<300).contains(answer.status) else {
            throw IdentityError(.provider, "\(address.authority) responded with \(answer.status)")
        }
        do {
            return try JSONDecoder().decode(Value.self, from: Data(answer.body.readableBytesView))
        } catch {
            throw IdentityError(.provider, "\(address.authority) sent a response that cannot be read")
        }
    }

    /// RFC 6749, section 5.2.
    private struct Problem: Decodable {
        let error: String
        let error_description: String?

        var sentence: String { String((error_description ?? error).prefix(200)) }
    }

    /// - Returns: the address, and whether it uses plain text.
    static func address(_ url: String) throws -> (WebAddress, Bool) {
        if let address = WebAddress(url, scheme: "https") { return (address, false) }
        if let address = WebAddress(url, scheme: "http"), ["127.0.0.1", "localhost", "::1"].contains(address.host) {
            return (address, true)
        }
        throw IdentityError(.provider, "'\(url.prefix(200))' is not an https:// address")
    }

    static func url(_ base: String, _ query: [(String, String)]) -> String {
        base + (base.contains("?") ? "&" : "?")
            + query.map { "\($0.0)=\(PercentEncoding.encoded($0.1))" }.joined(separator: "&")
    }
}
