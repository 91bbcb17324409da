import FoundationEssentials
public import Model
import NIOCore
import NIOHTTP1
import NIOPosix
import Outbound
import Synchronization
public import TransportSecurity
public import Wire

/// The appliance's REST calls, each on its own connection: a client makes only a few.
public struct APIClient: Sendable {
    public let address: ServerAddress
    private let token: String
    /// Shared by the whole process: connections are kept open between calls.
    private static let shared = Mutex<HTTPClient?>(nil)

    /// - Throws: ``ClientError`` if the environment names an invalid proxy.
    private static func http() throws -> HTTPClient {
        try shared.withLock { shared in
            if let shared { return shared }
            let client = HTTPClient(try Connector.ofEnvironment(on: MultiThreadedEventLoopGroup.singleton))
            shared = client
            return client
        }
    }

    public init(address: ServerAddress, token: String) {
        self.address = address
        self.token = token
    }

    /// Reads the server's certificate without sending a request.
    /// - Returns: its fingerprint if the system does not trust it; nil if it does.
    /// - Throws: ``ClientError`` if the server cannot be reached.
    public func untrustedFingerprint() async throws -> Fingerprint? {
        do {
            _ = try await Self.http().exchange(
                .https(host: address.host, port: address.port, ClientContexts.context(.system)),
                HTTPRequest(.GET, "/health", headers: ["Host": address.authority]))
            return nil
        } catch let error as TLSError where error.code == .untrusted {
            let probe = try TLSContext.client(trust: .pinned(.none))
            do {
                _ = try await Self.http().exchange(
                    .https(host: address.host, port: address.port, probe), HTTPRequest(.GET, "/health"))
            } catch let error as TLSError {
                if let found = error.found { return found }
            } catch {
                throw ClientError(
                    "cannot reach \(address): \(describe(error)); is the server running?", status: .tryAgain)
            }
            throw ClientError("\(error.message)")
        } catch {
            throw ClientError("cannot reach \(address): \(describe(error)); is the server running?", status: .tryAgain)
        }
    }

    public func me() async throws -> UserResource { try await call(.GET, "/auth/me", UserResource.self) }

    public func startSession(hostPublicKey: String) async throws -> SessionResource {
        try await call(.POST, "/sessions", SessionResource.self, body: NewSession(hostPublicKey: hostPublicKey))
    }

    public func createCode(sessionId: String, permission: Permission) async throws -> CodeResource {
        try await call(.POST, "/sessions/\(sessionId)/codes", CodeResource.self, body: NewCode(permission: permission))
    }

    public func revoke(code: ShareCodeId) async throws { try await call(.DELETE, "/codes/\(code)") }

    public func endSession(id: String) async throws { try await call(.DELETE, "/sessions/\(id)") }

    func call<Value: Decodable>(
        _ method: HTTPMethod, _ path: String, _ type: Value.Type, body: (any Encodable & Sendable)? = nil
    ) async throws -> Value {
        let answer = try await exchange(method, path, body: body.map { JSONText.encode($0) })
        do { return try JSONText.decode(type, from: answer.body) } catch {
            throw ClientError("\(address) does not respond like a Postern server (\(error)); check the address")
        }
    }

    func call(_ method: HTTPMethod, _ path: String) async throws {
        _ = try await exchange(method, path, body: nil)
    }

    private func exchange(_ method: HTTPMethod, _ path: String, body: ByteBuffer?) async throws -> HTTPAnswer {
        let answer: HTTPAnswer
        do {
            answer = try await send(method, path, body)
        } catch let error as TLSError where error.code == .untrusted {
            guard address.pin == nil else { throw ClientError("\(error.message)") }
            throw ClientError(
                "\(error.message); with a self-signed one, ask its owner for the fingerprint ('postern cert status') and set POSTERN_FINGERPRINT to it, or sign in with 'postern login'"
            )
        } catch {
            throw ClientError("cannot reach \(address): \(describe(error)); is the server running?", status: .tryAgain)
        }
        if (200..<300).contains(answer.status) { return answer }
        throw refusal(answer)
    }

    private func refusal(_ answer: HTTPAnswer) -> ClientError {
        guard let error = try? JSONText.decode(ErrorResource.self, from: answer.body) else {
            // A server's plain HTTP port redirects browsers to the HTTPS port.
            if (300..<400).contains(answer.status), !address.isSecure {
                return ClientError("\(address) redirects to another address; use https:// in front of the address")
            }
            return ClientError(
                "\(address) responded with \(answer.status) and is not a Postern server; check the address")
        }
        switch answer.status {
        case 401:
            return ClientError("\(address) does not accept your token; run 'postern login \(address)' with a new one")
        case 429, 503, 507: return ClientError("\(error.message)", status: .tryAgain)
        default: return ClientError("\(error.message)")
        }
    }

    private func send(_ method: HTTPMethod, _ path: String, _ body: ByteBuffer?) async throws -> HTTPAnswer {
        var headers: HTTPHeaders = ["Host": address.authority, "Authorization": "Bearer \(token)"]
        if body != nil { headers.add(name: "Content-Type", value: "application/json") }
        return try await Self.http().exchange(
            Endpoint(host: address.host, port: address.port, tls: try address.tls()),
            HTTPRequest(method, path, headers: headers, body: body.map { .bytes($0) } ?? .none))
    }
}

/// A network error in words that users understand.
package func describe(_ error: any Error) -> String { NetworkError.sentence(error) }
