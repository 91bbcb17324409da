import ArgumentParser
import Client
import Files
import Glibc
import Model
import TransportSecurity
import Wire

/// Options for who may use a tunnel.
struct VisitorOptions: ParsableArguments {
    @Option(
        name: .customLong("allow"),
        help: ArgumentHelp("Allow only visitors from this network; may be given several times.", valueName: "network"))
    var allow: [String] = []

    @Option(
        name: .customLong("deny"),
        help: ArgumentHelp("Refuse visitors from this network; may be given several times.", valueName: "network"))
    var deny: [String] = []

    var policy: AccessPolicy? {
        var policy = AccessPolicy()
        apply(to: &policy)
        return policy.isEmpty ? nil : policy
    }

    func apply(to policy: inout AccessPolicy) {
        if !allow.isEmpty { policy.allow = allow }
        if !deny.isEmpty { policy.deny = deny }
    }
}

/// `NAME:PASSWORD`, given directly or in a file.
enum BasicAuth {
    private static let limit = 64 << 10

    /// - Parameter entries: each a pair, or `@FILE` with one pair per line.
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
        // An empty file must not open the tunnel to everybody.
        guard !pairs.isEmpty else { throw CommandFailure("the file given to --basic-auth contains no NAME:PASSWORD") }
        return pairs
    }
}
