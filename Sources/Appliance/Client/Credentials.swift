import Client
import Database
import Files
import FoundationEssentials
import Glibc
import Model
import TransportSecurity

/// The server and the token for client commands: from the environment first, then from what `postern login` has stored.
struct Credentials: Codable {
    var url: String
    var token: String
    /// `sha256:…` of a server with a self-signed certificate. Nil for certificates that the system trusts.
    var fingerprint: String?

    /// - Throws: ``ClientError``.
    func address() throws -> ServerAddress {
        guard let fingerprint else { return try ServerAddress(url) }
        guard let pin = Fingerprint(fingerprint) else {
            throw ClientError(
                "'\(fingerprint)' is not a fingerprint; expected sha256: followed by 64 hexadecimal digits",
                status: .usage)
        }
        return try ServerAddress(url, pin: pin)
    }

    /// - Parameter named: the server that the command names, if any.
    /// - Throws: ``ClientError`` that says how to sign in.
    static func load(url named: String? = nil) throws -> Credentials {
        guard let found = try find(url: named) else { throw signedOut }
        return found
    }

    /// - Parameter named: the server that the command names, if any.
    /// - Returns: nil if nobody is signed in to it: a token is sent only to the server it came from.
    /// - Throws: ``ClientError`` if the stored credentials cannot be read.
    static func find(url named: String? = nil) throws -> Credentials? {
        let stored = try read()
        let fromEnvironment = environment("POSTERN_URL")
        guard let url = named ?? fromEnvironment ?? stored?.url else { return nil }
        let isStored = stored.map { isSame($0.url, url) } ?? false
        // The environment's token is for the environment's server, or otherwise for the stored one.
        let environmentIsMeant = named == nil || (fromEnvironment ?? stored?.url).map { isSame($0, url) } ?? false
        guard
            let token = (environmentIsMeant ? environment("POSTERN_TOKEN") : nil)
                ?? (named == nil || isStored ? stored?.token : nil)
        else { return nil }
        // A pin is valid only for the address it was stored with.
        let pinned = isStored ? stored?.fingerprint : nil
        return Credentials(url: url, token: token, fingerprint: environment("POSTERN_FINGERPRINT") ?? pinned)
    }

    private static let signedOut = ClientError(
        "you are not signed in; run 'postern login URL', or set POSTERN_URL and POSTERN_TOKEN")

    private static func isSame(_ one: String, _ other: String) -> Bool {
        guard let one = try? ServerAddress(one), let other = try? ServerAddress(other) else { return false }
        return one == other
    }

    /// Writes a temporary file, then renames it: it is never incomplete and never readable by others.
    /// - Throws: ``ClientError``.
    func save() throws {
        try Self.makeDirectories(Self.directory)
        guard let data = try? JSONEncoder().encode(self) else { throw ClientError("the token cannot be stored") }
        do { try WholeFile.write(data, to: Self.path) } catch { throw Self.failure("write", Self.path, error.message) }
    }

    /// The maximum size of the file, in bytes. An address, a token and a fingerprint are far smaller.
    private static let limit = 16 << 10

    static var path: String { "\(directory)/credentials.json" }

    private static func read() throws -> Credentials? {
        let bytes: [UInt8]
        do { bytes = try WholeFile.read(path, limit: limit) } catch {
            if error.number == ENOENT { return nil }
            throw error.number == EFBIG ? damaged : failure("read", path, error.message)
        }
        guard let stored = try? JSONDecoder().decode(Credentials.self, from: Data(bytes)) else { throw damaged }
        return stored
    }

    /// `$XDG_CONFIG_HOME/postern`, or `~/.config/postern`.
    private static var directory: String {
        let base = environment("XDG_CONFIG_HOME") ?? "\(environment("HOME") ?? ".")/.config"
        return "\(base)/postern"
    }

    private static func makeDirectories(_ path: String) throws {
        var made = ""
        for part in path.split(separator: "/") {
            made += path.hasPrefix("/") || !made.isEmpty ? "/\(part)" : "\(part)"
            guard mkdir(made, 0o700) == 0 || errno == EEXIST else {
                throw failure("create", made, String(cString: strerror(errno)).lowercased())
            }
        }
    }

    private static var damaged: ClientError { ClientError("\(path) is damaged; run 'postern login URL' again") }

    private static func failure(_ what: String, _ path: String, _ reason: String) -> ClientError {
        ClientError("cannot \(what) \(path): \(reason)")
    }
}

/// A variable that is set and not empty.
func environment(_ name: String) -> String? {
    guard let value = getenv(name), value[0] != 0 else { return nil }
    return String(cString: value)
}
