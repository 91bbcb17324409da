import Files
public import NIOCore
import NIOPosix

/// Looks names up as they are now, at a resolver: the system's, or one that the owner names.
public struct DNSLookup: Sendable {
    /// How long a resolver may take for one try. A caller waits for several look-ups in turn.
    private static let patience = TimeAmount.seconds(2)
    private static let tries = 2
    /// Names that are asked for CAA records, at most: a name with more labels is no one's host name.
    private static let climbs = 8
    /// The largest resolv.conf that is read, in bytes.
    private static let fileLimit = 1 << 16

    private let resolver: SocketAddress
    private let group: any EventLoopGroup

    /// - Parameter resolver: host and port; nil for the first of /etc/resolv.conf.
    /// - Throws: what NIO says of an address that is none.
    public init(resolver: (host: String, port: Int)?, group: any EventLoopGroup) throws {
        self.group = group
        let (host, port) = resolver ?? (Self.system ?? "127.0.0.1", 53)
        self.resolver = try SocketAddress(ipAddress: host, port: port)
    }

    private static var system: String? {
        guard let bytes = try? WholeFile.read("/etc/resolv.conf", limit: fileLimit) else { return nil }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line -> String? in
            let words = line.split { $0 == " " || $0 == "\t" }
            return words.count >= 2 && words[0] == "nameserver" ? String(words[1]) : nil
        }.first
    }

    /// What a look-up found.
    public enum Found<Value: Sendable>: Sendable {
        /// With the time that resolvers may keep it, in seconds.
        case some([Value], lifetime: Int)
        case none
        /// Nobody answered, or only to say that they cannot.
        case unknown(String)
    }

    /// The TXT records of a name.
    public func texts(of name: String) async -> Found<String> { await find(name, .text) { DNSQuery.text($0) } }

    /// The IPv4 and IPv6 addresses that a name leads to, aliases followed.
    public func addresses(of name: String) async -> Found<String> {
        let four = await find(name, .address) { DNSQuery.address($0) }
        let six = await find(name, .address6) { DNSQuery.address($0) }
        switch (four, six) {
        case (.some(let four, let life), .some(let six, let other)):
            return .some(four + six, lifetime: min(life, other))
        case (.some, _): return four
        case (_, .some): return six
        case (.unknown, _): return four
        default: return six
        }
    }

    /// Who may issue for a name: the CAA records of the nearest name above it that has some (RFC 8659, section 3).
    public func authorities(of name: String) async -> Found<String> {
        var labels = name.split(separator: ".")[...]
        for _ in 0..<Self.climbs where labels.count > 1 {
            let found = await find(labels.joined(separator: "."), .authorization) { data -> String? in
                guard let (tag, value) = DNSQuery.authorization(data), tag == "issue" else { return nil }
                return String(value.prefix { $0 != ";" }.filter { $0 != " " })
            }
            switch found {
            case .some, .unknown: return found
            case .none: labels = labels.dropFirst()
            }
        }
        return .none
    }

    private func find<Value: Sendable>(
        _ name: String, _ kind: DNSQuery.Kind, _ read: ([UInt8]) -> Value?
    ) async -> Found<Value> {
        var problem = "the name server \(resolver.ipAddress ?? "") does not respond"
        for _ in 0..<Self.tries {
            let query = DNSQuery(id: .random(in: .min ... .max), name: name, kind: kind)
            do {
                switch try await ask(query) {
                case .records(let records, let lifetime):
                    return .some(records.compactMap(read), lifetime: Int(lifetime))
                case .nothing: return .none
                case .truncated: problem = "the records of \(name) do not fit in a response"
                case .failed(let code): problem = "the name server returned error \(code) for \(name)"
                case nil: continue
                }
            } catch { continue }
        }
        return .unknown(problem)
    }

    private func ask(_ query: DNSQuery) async throws -> DNSQuery.Answer? {
        let loop = group.next()
        let promise = loop.makePromise(of: DNSQuery.Answer?.self)
        let resolver = self.resolver
        let channel = try await DatagramBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AnswerHandler(query, from: resolver, promise))
                }
            }
            .bind(host: resolver.protocol == .inet6 ? "::" : "0.0.0.0", port: 0).get()
        let deadline = loop.scheduleTask(in: Self.patience) { promise.succeed(nil) }
        channel.writeAndFlush(AddressedEnvelope(remoteAddress: resolver, data: query.message), promise: nil)
        let answer = try? await withTaskCancellationHandler {
            try await promise.futureResult.get()
        } onCancel: {
            promise.succeed(nil)
        }
        deadline.cancel()
        channel.close(promise: nil)
        try Task.checkCancellation()
        return answer ?? nil
    }
}

/// Takes the first answer to a question that comes from where it was asked.
private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let query: DNSQuery
    private let resolver: SocketAddress
    private let promise: EventLoopPromise<DNSQuery.Answer?>

    init(_ query: DNSQuery, from resolver: SocketAddress, _ promise: EventLoopPromise<DNSQuery.Answer?>) {
        self.query = query
        self.resolver = resolver
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard envelope.remoteAddress.ipAddress == resolver.ipAddress, envelope.remoteAddress.port == resolver.port,
            let answer = query.answer(envelope.data)
        else { return }
        promise.succeed(answer)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { promise.succeed(nil) }
}
