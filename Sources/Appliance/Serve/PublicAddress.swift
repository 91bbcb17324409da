import Database
import Files
import Glibc
import Model
import NIOCore
import NIOPosix
import Sockets
import Web

/// The public address of this server, without a trailing slash: used in links, in mails, and for redirects from providers.
enum PublicAddress {
    /// The running server's address, for the owner's commands: they know neither its sockets nor its ports.
    private static let fileName = "address"
    /// The maximum size of the file, in bytes. An address is one line.
    private static let limit = 4096

    /// The address from the configuration and the listening sockets. Nil if neither names the server.
    static func configured(_ configuration: Configuration, _ listeners: [ListenerConfiguration]) -> String? {
        if let url = configuration[Settings.publicURL] { return url.hasSuffix("/") ? String(url.dropLast()) : url }
        // A wildcard cannot be used as an address.
        guard let name = configuration[Settings.tlsNames].first(where: { !$0.hasPrefix("*") }),
            let listener = listeners.first(where: { $0.role == .https })
        else { return nil }
        // With port 0 the system chooses the port, which is not known yet.
        let port = listener.port
        let host = name.contains(":") ? "[\(name)]" : name
        return port == 443 || port == 0 ? "https://\(host)" : "https://\(host):\(port)"
    }

    /// Stores the address for the owner's commands.
    /// - Throws: ``CommandFailure``.
    static func keep(_ address: String, _ configuration: Configuration) throws {
        let path = "\(configuration.stateDirectory)/\(fileName)"
        if case .failure(let error) = TextFile.write("\(address)\n", to: path) {
            throw CommandFailure("cannot write \(path): \(error.message)")
        }
    }

    /// The address that the running or last server has stored, for the owner's commands.
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
    /// The listeners of the configuration. systemd's sockets override them.
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

    /// Also for an inherited socket. 0 if the system has not chosen the port yet.
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
                // In both address families the port follows the two bytes of the family.
                let port = UnsafeRawPointer(generic).loadUnaligned(fromByteOffset: 2, as: UInt16.self)
                return Int(UInt16(bigEndian: port))
            }
        }
    }
}

extension BoundListener {
    /// A socket on all addresses has no name that a browser could use. This machine's name is used instead.
    var reachableURL: String {
        guard host == "::" || host == "0.0.0.0" else { return url }
        return BoundListener(role: role, host: HostName.own ?? "localhost", port: port).url
    }
}
