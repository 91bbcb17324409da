import Database
import Files
import Glibc
import Model
import NIOCore
import NIOPosix
import Sockets
import Web

/// Where people reach this server, without a slash at the end: in links, in mails, and where providers send people back.
enum PublicAddress {
    /// The running server's, for the owner's verbs: they know neither its sockets nor its ports.
    private static let fileName = "address"
    /// An address is a line, in bytes.
    private static let limit = 4096

    /// What the configuration and the listening sockets say; nil where neither names the server.
    static func configured(_ configuration: Configuration, _ listeners: [ListenerConfiguration]) -> String? {
        if let url = configuration[Settings.publicURL] { return url.hasSuffix("/") ? String(url.dropLast()) : url }
        // A pattern is no place to go to.
        guard let name = configuration[Settings.tlsNames].first(where: { !$0.hasPrefix("*") }),
            let listener = listeners.first(where: { $0.role == .https })
        else { return nil }
        // Port 0 is the system's choice, and not known yet.
        let port = listener.port
        let host = name.contains(":") ? "[\(name)]" : name
        return port == 443 || port == 0 ? "https://\(host)" : "https://\(host):\(port)"
    }

    /// The owner's verbs find it from now on.
    /// - Throws: ``CommandFailure``.
    static func keep(_ address: String, _ configuration: Configuration) throws {
        let path = "\(configuration.stateDirectory)/\(fileName)"
        if case .failure(let error) = TextFile.write("\(address)\n", to: path) {
            throw CommandFailure("cannot write \(path): \(error.message)")
        }
    }

    /// For the owner's verbs: what the server that runs, or ran last, has kept.
    static func known(_ configuration: Configuration) -> String {
        let path = "\(configuration.stateDirectory)/\(fileName)"
        if configuration[Settings.publicURL] == nil, case .success(let text) = TextFile.read(path, limit: limit) {
            return text.trimmed
        }
        return configured(configuration, ListenerConfiguration.configured(configuration))
            ?? "https://\(HostName.own ?? "localhost")"
    }
}

extension ListenerConfiguration {
    /// What the configuration asks for; systemd's sockets win over it.
    static func configured(_ configuration: Configuration) -> [ListenerConfiguration] {
        var found: [ListenerConfiguration] = []
        let https = configuration[Settings.https]
        if case .at(let host, let port) = https {
            found.append(ListenerConfiguration(role: .https, source: .bind(host: host, port: port)))
        }
        if case .at(let host, let port) = configuration[Settings.http] {
            let role: ListenerConfiguration.Role = https == .off ? .http : .redirect
            found.append(ListenerConfiguration(role: role, source: .bind(host: host, port: port)))
        }
        return found
    }

    /// Also of a socket that was inherited; 0 where the system has yet to choose.
    var port: Int {
        switch source {
        case .bind(_, let port): port
        case .inherited(let descriptor): Self.port(of: descriptor)
        }
    }

    private static func port(of descriptor: CInt) -> Int {
        var address = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                guard getsockname(descriptor, generic, &size) == 0 else { return 0 }
                // The port stands in the same place in both families.
                return generic.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    Int(UInt16(bigEndian: $0.pointee.sin_port))
                }
            }
        }
    }
}

extension BoundListener {
    /// A socket on every address has no name that a browser could use: this machine's own stands in.
    var reachableURL: String {
        guard host == "::" || host == "0.0.0.0" else { return url }
        return BoundListener(role: role, host: HostName.own ?? "localhost", port: port).url
    }
}
