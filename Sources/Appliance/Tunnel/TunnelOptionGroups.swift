import ArgumentParser
import Client
import Files
import Glibc
import Model
import TransportSecurity
import Wire

/// Where a tunnel leads on this machine: a port, an address with a port, or a URL.
struct ServiceAddress {
    let host: String
    let port: Int
    let isTLS: Bool

    /// - Parameter standardPort: nil where a port must be named.
    init?(_ text: String) {
        let lower = text.lowercased()
        isTLS = lower.hasPrefix("https://")
        let schemes = ["https://", "http://", "tcp://"]
        let rest = schemes.first(where: lower.hasPrefix).map { text.dropFirst($0.count) } ?? text[...]
        let authority = rest.hasSuffix("/") ? rest.dropLast() : rest
        if let port = Int(authority), (1...65535).contains(port) {
            // Development servers listen on either family's loopback address.
            (host, self.port) = ("localhost", port)
            return
        }
        guard !authority.contains("/"), !authority.isEmpty else { return nil }
        let colon = authority.hasSuffix("]") ? nil : authority.lastIndex(of: ":")
        let name = authority[..<(colon ?? authority.endIndex)].filter { $0 != "[" && $0 != "]" }
        let standard = schemes.dropLast().contains(where: lower.hasPrefix) ? (isTLS ? 443 : 80) : nil
        guard !name.isEmpty, let port = colon.map({ Int(authority[authority.index(after: $0)...]) }) ?? standard,
            (1...65535).contains(port)
        else { return nil }
        (host, self.port) = (String(name), port)
    }

    var text: String { "\(host.contains(":") ? "[\(host)]" : host):\(port)" }
}

/// Who may use a tunnel.
struct VisitorOptions: ParsableArguments {
    @Option(
        name: .customLong("allow"),
        help: ArgumentHelp("Let in only visitors from this network; may be given several times.", valueName: "network"))
    var allow: [String] = []

    @Option(
        name: .customLong("deny"),
        help: ArgumentHelp("Keep out visitors from this network; may be given several times.", valueName: "network"))
    var deny: [String] = []

    func apply(to options: inout TunnelOptions) {
        if !allow.isEmpty { options.allow = allow }
        if !deny.isEmpty { options.deny = deny }
    }
}

/// `NAME:PASSWORD`, given or in a file.
enum BasicAuth {
    private static let limit = 64 << 10

    /// - Parameter entries: each a pair, or `@FILE` with one pair a line.
    /// - Throws: ``CommandFailure``.
    static func read(_ entries: [String]) throws -> [String]? {
        guard !entries.isEmpty else { return nil }
        var pairs: [String] = []
        for entry in entries {
            guard entry.hasPrefix("@") else {
                pairs.append(entry)
                continue
            }
            let path = String(entry.dropFirst())
            switch TextFile.read(path, limit: limit, allowsPipe: true) {
            case .success(let text):
                pairs += text.split(separator: "\n").map { String($0).trimmed }.filter {
                    !$0.isEmpty && !$0.hasPrefix("#")
                }
            case .failure(let error): throw CommandFailure("cannot read \(path): \(error.message)")
            }
        }
        // A file that turned out to be empty must not open the tunnel to everybody.
        guard !pairs.isEmpty else { throw CommandFailure("--basic-auth names a file without a NAME:PASSWORD in it") }
        return pairs
    }
}
