import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
public import Wire

/// The appliance's REST calls, one connection each: a client makes a handful in its life.
public struct APIClient: Sendable {
    /// An answer, in bytes: a list of codes at most.
    private static let bodyLimit = 1 << 20
    /// Connecting, and then the whole exchange.
    private static let timeout = TimeAmount.seconds(15)

    private struct Answer: Sendable {
        let status: Int
        let body: ByteBuffer
    }

    public let address: ServerAddress
    private let token: String

    public init(address: ServerAddress, token: String) {
        self.address = address
        self.token = token
    }

    public func me() async throws -> UserResource { try await call(.GET, "/auth/me", UserResource.self) }

    public func startSession(hostPublicKey: String) async throws -> SessionResource {
        try await call(.POST, "/sessions", SessionResource.self, body: NewSession(hostPublicKey: hostPublicKey))
    }

    public func createCode(sessionId: String, permission: Permission) async throws -> CodeResource {
        try await call(.POST, "/sessions/\(sessionId)/codes", CodeResource.self, body: NewCode(permission: permission))
    }

    public func revoke(code: CodeName) async throws { try await call(.DELETE, "/codes/\(code)") }

    public func endSession(id: String) async throws { try await call(.DELETE, "/sessions/\(id)") }

    private func call<Value: Decodable>(
        _ method: HTTPMethod, _ path: String, _ type: Value.Type, body: (any Encodable & Sendable)? = nil
    ) async throws -> Value {
        let answer = try await exchange(method, path, body: body.map { JSONText.encode($0) })
        do { return try JSONText.decode(type, from: answer.body) } catch {
            throw ClientError("\(address) does not answer like a Postern (\(error)); check the address")
        }
    }

    private func call(_ method: HTTPMethod, _ path: String) async throws {
        _ = try await exchange(method, path, body: nil)
    }

    private func exchange(_ method: HTTPMethod, _ path: String, body: ByteBuffer?) async throws -> Answer {
        let answer: Answer
        do {
            answer = try await send(method, path, body)
        } catch let error as ClientError { throw error } catch {
            throw ClientError("cannot reach \(address): \(describe(error)); is the server running?", status: .tryAgain)
        }
        if (200..<300).contains(answer.status) { return answer }
        throw refusal(answer)
    }

    private func refusal(_ answer: Answer) -> ClientError {
        guard let error = try? JSONText.decode(ErrorResource.self, from: answer.body) else {
            return ClientError("\(address) answered \(answer.status) and is no Postern; check the address")
        }
        switch answer.status {
        case 401:
            return ClientError("\(address) does not accept your token; run 'postern login \(address)' with a new one")
        case 429, 503, 507: return ClientError(error.message, status: .tryAgain)
        default: return ClientError(error.message)
        }
    }

    private func send(_ method: HTTPMethod, _ path: String, _ body: ByteBuffer?) async throws -> Answer {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(Self.timeout)
            .connect(host: address.host, port: address.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
                        wrappingChannelSynchronously: channel)
                }
            }
        let loop = channel.channel.eventLoop
        let deadline = loop.scheduleTask(in: Self.timeout) { channel.channel.close(promise: nil) }
        defer { deadline.cancel() }
        return try await channel.executeThenClose { inbound, outbound in
            var headers: HTTPHeaders = [
                "Host": address.authority, "Authorization": "Bearer \(token)", "Connection": "close",
            ]
            if let body {
                headers.add(name: "Content-Type", value: "application/json")
                headers.add(name: "Content-Length", value: String(body.readableBytes))
            } else if method == .POST {
                headers.add(name: "Content-Length", value: "0")
            }
            let head = HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: headers)
            try await outbound.write(.head(head))
            if let body { try await outbound.write(.body(.byteBuffer(body))) }
            try await outbound.write(.end(nil))
            return try await Self.collect(inbound)
        }
    }

    private static func collect(_ inbound: NIOAsyncChannelInboundStream<HTTPClientResponsePart>) async throws -> Answer
    {
        var status = 0
        var collected = ByteBuffer()
        for try await part in inbound {
            switch part {
            case .head(let head): status = Int(head.status.code)
            case .body(let bytes):
                collected.writeImmutableBuffer(bytes)
                guard collected.readableBytes <= bodyLimit else { throw ClientError("the server's answer is too long") }
            case .end: return Answer(status: status, body: collected)
            }
        }
        throw ChannelError.inputClosed
    }
}

/// A network error in words a person knows.
func describe(_ error: any Error) -> String {
    switch error {
    case let error as NIOConnectionError:
        if let first = error.connectionErrors.first { return describe(first.error) }
        return error.dnsAError != nil || error.dnsAAAAError != nil ? "the name is not known" : "no connection"
    case let error as IOError:
        return String(cString: strerror(error.errnoCode)).lowercased()
    case is SocketAddressError: return "the name is not known"
    case let error as ChannelError where error == .inputClosed || error == .ioOnClosedChannel:
        return "the connection was closed before an answer came"
    case ChannelError.connectTimeout: return "no answer within 15 s"
    default: return "\(error)"
    }
}
