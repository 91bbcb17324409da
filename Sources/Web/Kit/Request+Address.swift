import Hummingbird

extension Request {
    /// The path of the page of ours that a form stood in; browsers say it for our own pages alone. Only a path: a link cannot lead elsewhere.
    var formPage: String? {
        guard let from = headers[.referer], from.utf8.count <= 2048, let scheme = from.firstRange(of: "://"),
            let slash = from[scheme.upperBound...].firstIndex(of: "/")
        else { return nil }
        let path = from[slash...].prefix { $0 != "?" && $0 != "#" }
        return path.hasPrefix("//") || path.contains("\\") ? nil : String(path)
    }

    /// Where the caller reaches this server, by the request's own `Host`; nil where that is no host. It stands in scripts and commands, so
    /// nothing but a host may be in it.
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
