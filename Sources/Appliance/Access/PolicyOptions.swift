import ArgumentParser
import Client
import Files
import Model
import NIOCore
import Wire

/// The rules of an access policy as options.
struct PolicyOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Require this name and password of visitors, or one from a file (@FILE); may be given several times.",
            valueName: "name:password"))
    var basicAuth: [String] = []

    @Flag(name: .customLong("private"), help: "Allow only members of your organisation, who sign in at the server.")
    var isPrivate = false

    @Option(
        name: .customLong("member"),
        help: ArgumentHelp("Allow only this member; may be given several times.", valueName: "name"))
    var members: [String] = []

    @Option(help: ArgumentHelp("Require a bearer token signed with one of these keys: a JWK set.", valueName: "file"))
    var bearerKeys: String?

    @Option(help: ArgumentHelp("The issuer that bearer tokens must name.", valueName: "iss"))
    var bearerIssuer: String?

    @Option(help: ArgumentHelp("The audience that bearer tokens must name.", valueName: "aud"))
    var bearerAudience: String?

    @Option(help: ArgumentHelp("Requests per minute that one visitor may send.", valueName: "number"))
    var rateLimit: Int?

    @Option(help: ArgumentHelp("Tell visitors apart by this header instead of their address.", valueName: "header"))
    var rateBy: String?

    @Option(help: ArgumentHelp("Requests that the service gets at the same time.", valueName: "number"))
    var maxRequests: Int?

    @Option(
        help: ArgumentHelp(
            "Refuse requests for some seconds after several failures in a row, as in 5/30.",
            valueName: "failures/seconds"))
    var breaker: String?

    @Option(help: ArgumentHelp("Set a header of requests; may be given several times.", valueName: "name: value"))
    var requestHeader: [String] = []

    @Option(help: ArgumentHelp("Remove a header from requests; may be given several times.", valueName: "name"))
    var removeRequestHeader: [String] = []

    @Option(help: ArgumentHelp("Set a header of responses; may be given several times.", valueName: "name: value"))
    var responseHeader: [String] = []

    @Option(help: ArgumentHelp("Remove a header from responses; may be given several times.", valueName: "name"))
    var removeResponseHeader: [String] = []

    func validate() throws {
        if rateBy != nil && rateLimit == nil { throw ValidationError("--rate-by requires --rate-limit.") }
        if (bearerIssuer != nil || bearerAudience != nil) && bearerKeys == nil {
            throw ValidationError("--bearer-issuer and --bearer-audience require --bearer-keys.")
        }
        do throws(PolicyText.Problem) {
            if let breaker { _ = try PolicyText.breaker(breaker) }
        } catch { throw ValidationError("--breaker \(error.message).") }
        do throws(PolicyText.Problem) {
            _ = try PolicyText.edits(set: requestHeader + responseHeader, remove: [])
        } catch { throw ValidationError("A header \(error.message).") }
    }

    /// - Throws: ``CommandFailure``.
    func policy() throws -> AccessPolicy {
        var policy = AccessPolicy()
        policy.basicAuth = try BasicAuth.read(basicAuth)
        if isPrivate || !members.isEmpty { policy.members = members }
        if let bearerKeys {
            policy.bearer = BearerPolicy(
                issuer: bearerIssuer, audience: bearerAudience, keys: try PolicyFile.text(bearerKeys))
        }
        policy.rate = rateLimit.map { RatePolicy(perMinute: $0, header: rateBy) }
        policy.concurrency = maxRequests
        do throws(PolicyText.Problem) {
            policy.breaker = try breaker.map { text throws(PolicyText.Problem) in try PolicyText.breaker(text) }
            policy.requestHeaders = try PolicyText.edits(set: requestHeader, remove: removeRequestHeader)
            policy.responseHeaders = try PolicyText.edits(set: responseHeader, remove: removeResponseHeader)
        } catch { throw CommandFailure("a rule \(error.message)", status: 2) }
        return policy
    }
}

/// Files that hold a part of a policy.
enum PolicyFile {
    /// In bytes.
    private static let limit = 128 << 10

    /// - Throws: ``CommandFailure``.
    static func text(_ path: String) throws -> String {
        switch TextFile.read(path == "-" ? "/dev/stdin" : path, limit: limit, allowsPipe: true) {
        case .success(let text): return text
        case .failure(let error): throw CommandFailure("cannot read \(path): \(error.message)")
        }
    }

    /// - Throws: ``CommandFailure``.
    static func read(_ path: String) throws -> AccessPolicy {
        do { return try JSONText.decode(AccessPolicy.self, from: .init(string: try text(path))) } catch let error
            as CommandFailure
        { throw error } catch { throw CommandFailure("\(path) is not a policy: \(error)") }
    }
}
