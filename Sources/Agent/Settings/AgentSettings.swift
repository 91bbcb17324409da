public import Client
import Files
public import Model
import TransportSecurity
public import Wire

/// The contents of `agent.yml`: the tunnels that this machine serves.
public struct AgentSettings: Sendable, Equatable {
    /// Maximum size of the file, in bytes.
    private static let limit = 256 << 10
    /// Maximum number of tunnels on one link.
    static let tunnelLimit = 1000

    /// By label.
    public var tunnels: [String: AgentTunnel] = [:]

    public init() {}

    /// Mistakes in the file, each with its line.
    public struct Problems: Error, Equatable {
        public let sentences: [String]
    }

    /// - Throws: ``Problems``.
    public static func read(_ path: String) throws(Problems) -> AgentSettings {
        let (settings, problems) = whatIsRight(in: path)
        guard problems.isEmpty else { throw Problems(sentences: problems) }
        return settings
    }

    /// Returns the valid tunnels and the mistakes. At its start, a machine serves every valid tunnel.
    public static func whatIsRight(in path: String) -> (AgentSettings, problems: [String]) {
        let bytes: [UInt8]
        do { bytes = try WholeFile.read(path, limit: limit) } catch {
            return (AgentSettings(), ["\(path): \(error.message)"])
        }
        let (settings, problems) = reading(String(decoding: bytes, as: UTF8.self))
        return (settings, problems.map { "\(path): \($0)" })
    }

    /// - Throws: ``Problems``.
    public static func parse(_ yaml: String) throws(Problems) -> AgentSettings {
        let (settings, problems) = reading(yaml)
        guard problems.isEmpty else { throw Problems(sentences: problems) }
        return settings
    }

    private static func reading(_ yaml: String) -> (AgentSettings, [String]) {
        var settings = AgentSettings()
        var problems: [String] = []
        do throws(YAMLNode.Problem) {
            guard let root = try YAMLNode.parse(yaml) else { return (settings, []) }
            guard case .mapping(let entries, _) = root else {
                throw YAMLNode.Problem(line: root.line, text: "the file must begin with 'tunnels:'")
            }
            for entry in entries {
                guard entry.key == "tunnels" else {
                    problems.append("line \(entry.line): unknown key '\(entry.key)'; only 'tunnels' is allowed")
                    continue
                }
                guard case .mapping(let tunnels, _) = entry.value else {
                    if case .text("", _) = entry.value { continue }
                    problems.append("line \(entry.line): 'tunnels' must contain labels, each with its settings")
                    continue
                }
                for tunnel in tunnels {
                    var reader = TunnelReader(label: tunnel.key, line: tunnel.line)
                    if let read = reader.read(tunnel.value) { settings.tunnels[tunnel.key] = read }
                    problems += reader.problems
                }
            }
        } catch { problems.append("line \(error.line): \(error.text)") }
        if settings.tunnels.count > tunnelLimit { problems.append("a machine serves at most \(tunnelLimit) tunnels") }
        return (settings, problems)
    }
}

/// One tunnel of `agent.yml`.
public struct AgentTunnel: Sendable, Equatable {
    public var label: String
    public var kind: TunnelKind
    /// Nil picks random words once and keeps them.
    public var name: String?
    /// Nil picks a free port once and keeps it.
    public var port: Int?
    /// The target as the file spells it: `3000`, `https://127.0.0.1:8443`, or a directory.
    public var target: String
    public var isDirectory: Bool
    public var lists: Bool
    public var proxyProtocol: Bool
    public var upstreamCA: String?
    public var upstreamInsecure: Bool
    public var options: TunnelOptions
    /// `stripe:FILE` and similar: only webhooks that are signed so reach the service.
    public var verify: String?

    /// The request to the server.
    public var wanted: NewTunnel { NewTunnel(kind: kind, name: name, port: port) }

    /// The name that is shown to people.
    public var title: String { isDirectory ? "the files in \(target)" : target }

    /// - Throws: ``ClientError`` and `TLSError` if something does not exist.
    func service() throws -> TunnelRun.Service {
        if isDirectory { return .directory(try FileService(directory: target, lists: lists)) }
        guard let address = ServiceAddress(target) else { throw ClientError("'\(target)' is not a port or an address") }
        var tls: TLSContext?
        if kind == .http && address.isTLS {
            tls =
                upstreamInsecure
                ? try ClientContexts.context(.anyone)
                : try ClientContexts.context(upstreamCA.map { .authorities(file: $0) } ?? .system)
        }
        return .socket(
            host: address.host, port: address.port, tls: tls, sendsProxyHeader: proxyProtocol,
            signature: try verify.map { try Self.signature($0) })
    }

    /// The maximum size of a file with a secret, in bytes.
    private static let secretLimit = 4096

    /// - Throws: ``ClientError`` if the secret cannot be read: then the tunnel is not served.
    static func signature(_ text: String) throws -> WebhookSignature {
        guard let (sender, path) = WebhookSignature.parse(text) else {
            throw ClientError(
                "must be stripe:FILE, github:FILE, slack:FILE or hmac:HEADER:FILE, not '\(text.prefix(40))'")
        }
        do {
            let bytes = try WholeFile.read(path, limit: secretLimit)
            let isBlank = { (byte: UInt8) in byte <= 0x20 }
            let start = bytes.drop(while: isBlank)
            let end = start.lastIndex { !isBlank($0) }.map { start.index(after: $0) } ?? start.startIndex
            return try WebhookSignature(sender, secret: String(decoding: start[..<end], as: UTF8.self))
        } catch let error as WholeFile.Failure { throw ClientError("\(path): \(error.message)") }
    }
}
