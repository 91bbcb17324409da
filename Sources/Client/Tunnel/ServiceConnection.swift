import Glibc
package import Link
package import NIOCore
import NIOPosix
import TransportSecurity

extension TunnelRun.Service {
    /// Connects a stream of a link with a connection to the service, or rejects the stream.
    package func open(_ stream: LinkStream, of link: LinkHandler, on loop: any EventLoop) {
        switch self {
        case .socket(let host, let port, let tls, let sendsProxyHeader, let signature):
            let connection = ServiceConnection(stream, of: link)
            stream.owner = connection
            connection.signature = signature
            connection.connect(host, port, tls, sendsProxyHeader, loop)
        case .directory(let files):
            link.accept(stream)
            FileConnection.serve(files, stream, of: link)
        }
    }
}

/// Opens the connection to the service for one stream. What the visitor sends meanwhile waits here, at most the stream's first credit.
final class ServiceConnection: LinkStreamOwner {
    private static let connectTimeout = TimeAmount.seconds(10)

    private let stream: LinkStream
    private let link: LinkHandler
    fileprivate var signature: WebhookSignature?
    private var held: [ByteBuffer] = []
    private var isFinished = false
    private var isGone = false

    fileprivate init(_ stream: LinkStream, of link: LinkHandler) {
        self.stream = stream
        self.link = link
    }

    fileprivate func connect(
        _ host: String, _ port: Int, _ tls: TLSContext?, _ sendsProxyHeader: Bool, _ loop: any EventLoop
    ) {
        ClientBootstrap(group: loop)
            .connectTimeout(Self.connectTimeout)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.autoRead, value: false)
            .channelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 4096, maximum: 64 << 10)
            )
            .connect(host: host, port: port)
            .assumeIsolated().whenComplete { result in
                switch result {
                case .success(let channel): self.connected(channel, host, tls, sendsProxyHeader)
                case .failure(let error): self.refused("\(host):\(port)", error)
                }
            }
    }

    private func refused(_ place: String, _ error: any Error) {
        guard !isGone else { return }
        link.reject(stream, LinkRejection(code: "refused", message: "\(place): \(describe(error))"))
    }

    private func connected(_ channel: any Channel, _ host: String, _ tls: TLSContext?, _ sendsProxyHeader: Bool) {
        guard !isGone else { return channel.close(promise: nil) }
        let pipe = StreamPipeHandler(link: link, stream: stream)
        do {
            if let tls {
                try channel.pipeline.syncOperations.addHandler(TLSHandler.client(tls, serverName: host))
            }
            if let signature { try channel.pipeline.syncOperations.addHandler(WebhookHandler(signature)) }
            try channel.pipeline.syncOperations.addHandler(pipe)
        } catch {
            channel.close(promise: nil)
            return refused(host, error)
        }
        link.accept(stream)
        if sendsProxyHeader, let header = ProxyHeader.bytes(for: stream.open) {
            channel.writeAndFlush(header, promise: nil)
        }
        for bytes in held { pipe.streamReceived(bytes) }
        if isFinished { pipe.streamFinished() }
        channel.setOption(.autoRead, value: true).assumeIsolated().whenFailure { _ in channel.close(promise: nil) }
    }

    func streamAccepted() {}
    func streamRejected(_ reason: LinkRejection) { isGone = true }
    func streamReceived(_ bytes: ByteBuffer) { held.append(bytes) }
    func streamFinished() { isFinished = true }
    func streamReset(_ code: ResetCode) { isGone = true }
    func streamWritable() {}
}

/// The PROXY protocol's header, version 2 (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2).
enum ProxyHeader {
    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    /// - Returns: nil if the visitor's address is unknown.
    static func bytes(for open: LinkOpen) -> ByteBuffer? {
        guard let (source, sourcePort) = split(open.peer) else { return nil }
        // The server's own address that the visitor connected to: `ADDRESS|PORT`.
        let parts = open.host.split(separator: "|")
        let own = parts.count == 2 ? address(String(parts[0])) : nil
        let ownPort = parts.count == 2 ? UInt16(parts[1]) ?? 0 : 0
        let target = own.flatMap { $0.count == source.count ? $0 : nil } ?? [UInt8](repeating: 0, count: source.count)
        var out = ByteBuffer(bytes: signature)
        // Version 2, command PROXY; then the family with STREAM.
        out.writeInteger(UInt8(0x21))
        out.writeInteger(UInt8(source.count == 4 ? 0x11 : 0x21))
        out.writeInteger(UInt16(source.count * 2 + 4))
        out.writeBytes(source)
        out.writeBytes(target)
        out.writeInteger(sourcePort)
        out.writeInteger(ownPort)
        return out
    }

    /// `203.0.113.7:51234` or `[2001:db8::1]:51234`
    private static func split(_ text: String) -> ([UInt8], UInt16)? {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        let host = text[..<colon].filter { $0 != "[" && $0 != "]" }
        return address(host).map { ($0, port) }
    }

    private static func address(_ text: String) -> [UInt8]? {
        let plain = text.hasPrefix("::ffff:") && text.contains(".") ? String(text.dropFirst(7)) : text
        var four = [UInt8](repeating: 0, count: 4)
        if inet_pton(AF_INET, plain, &four) == 1 { return four }
        var six = [UInt8](repeating: 0, count: 16)
        return inet_pton(AF_INET6, plain, &six) == 1 ? six : nil
    }
}
