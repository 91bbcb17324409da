import Hummingbird

extension Request {
    /// The address at which the caller reaches this server, from the request's own `Host`. Nil if that is not a host.
    /// It is used in scripts and commands, so it must not contain anything but a host.
    var ownURL: String? {
        guard let host = head.authority, !host.isEmpty, host.utf8.count <= 255,
            host.utf8.allSatisfy({ byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x3A, 0x5B, 0x5D: true
                default: false
                }
            })
        else { return nil }
        return "https://\(host)"
    }
}
