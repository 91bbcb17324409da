/// An HTTP proxy for requests that leave the machine, as `HTTPS_PROXY` names it.
public struct Proxy: Sendable, Equatable {
    public let host: String
    public let port: Int
    /// Hosts that are asked directly: names, domains with a leading dot, or `*` for all.
    let direct: [String]

    /// - Parameter direct: the value of `NO_PROXY`, separated by commas.
    public init(host: String, port: Int, direct: String = "") {
        self.host = host
        self.port = port
        self.direct = direct.split(separator: ",").map { $0.filter { $0 != " " }.lowercased() }.filter { !$0.isEmpty }
    }

    /// Reads `HTTPS_PROXY` and `NO_PROXY`, in upper or lower case. `HTTP_PROXY` in upper case is not read, because a
    /// CGI request could set it.
    /// - Returns: nil without a proxy.
    /// - Throws: a sentence if the value is not `http://HOST:PORT`.
    public static func environment(_ environment: [String: String]) throws -> Proxy? {
        guard let text = environment["https_proxy"] ?? environment["HTTPS_PROXY"], !text.isEmpty else { return nil }
        guard let address = WebAddress(text.contains("://") ? text : "http://\(text)", scheme: "http"),
            !text.contains("@")
        else { throw ProxyProblem(text: text) }
        return Proxy(
            host: address.host, port: address.port,
            direct: environment["no_proxy"] ?? environment["NO_PROXY"] ?? "")
    }

    /// Whether a host is asked through the proxy. This machine never is.
    public func applies(to host: String) -> Bool {
        let host = host.lowercased()
        if host == "localhost" || host == "::1" || host.hasPrefix("127.") { return false }
        return !direct.contains { entry in
            let domain = entry.hasPrefix(".") ? String(entry.dropFirst()) : entry
            return entry == "*" || host == domain || host.hasSuffix(".\(domain)")
        }
    }
}

/// A proxy setting that cannot be read.
public struct ProxyProblem: Error, CustomStringConvertible {
    let text: String

    public var description: String {
        "HTTPS_PROXY is '\(text.prefix(100))'; set it to http://HOST:PORT, without a name or a password"
    }
}
