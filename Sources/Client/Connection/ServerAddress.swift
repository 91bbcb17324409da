/// The appliance a client talks to.
public struct ServerAddress: Sendable, Equatable, CustomStringConvertible {
    public let host: String
    public let port: Int

    /// Reads `http://host[:port]`.
    /// - Throws: ``ClientError`` that says what is wrong with it.
    public init(_ url: String) throws(ClientError) {
        let lower = url.lowercased()
        if lower.hasPrefix("https://") {
            throw ClientError(
                "this version speaks http:// only; run the appliance on loopback or inside a private network, "
                    + "or put a TLS proxy in front of it and reach that through a tunnel", status: .usage)
        }
        guard lower.hasPrefix("http://") else {
            throw ClientError("'\(url)' is not a server address; write http://HOST:PORT", status: .usage)
        }
        let rest = url.dropFirst("http://".count).prefix { $0 != "/" }
        let invalid = ClientError("'\(url)' is not a server address; write http://HOST:PORT", status: .usage)
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            let tail = rest[rest.index(after: end)...]
            guard let port = tail.isEmpty ? 80 : Int(tail.dropFirst()), tail.isEmpty || tail.hasPrefix(":") else {
                throw invalid
            }
            self.port = port
        } else {
            let parts = rest.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2, let name = parts.first, !name.isEmpty,
                let port = parts.count == 2 ? Int(parts[1]) : 80
            else { throw invalid }
            host = String(name)
            self.port = port
        }
        guard (1...65535).contains(port) else { throw invalid }
    }

    public var description: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == 80 ? "http://\(name)" : "http://\(name):\(port)"
    }

    /// For the `Host` header.
    var authority: String { String(description.dropFirst("http://".count)) }
}
