import EndToEnd
import Glibc
import Model
import NIOCore
import NIOPosix
import Wire

/// `postern share`: runs a command on a pseudo-terminal and shares it with invited guests.
public enum Share {
    /// - Returns: the command's exit status.
    /// - Throws: ``ClientError``.
    public static func run(_ options: ShareOptions, address: ServerAddress, token: String) async throws -> Int32 {
        let interactive = LocalTerminal.isInteractive && !options.json
        if options.approve && !interactive {
            throw ClientError("--approve asks in the terminal: run it in a terminal, without --json", status: .usage)
        }
        if getenv("POSTERN_SHARED") != nil && interactive {
            throw ClientError("this terminal is already shared; end that share first, or unset POSTERN_SHARED")
        }
        let api = APIClient(address: address, token: token)
        // The API requires a key for the session. The actual key is sent inside the confirmed channel, where guests can
        // trust it.
        let session = try await api.startSession(hostPublicKey: "cpace")
        let codes: [CodeSecrets]
        do {
            codes = try await makeCodes(options, sessionId: session.id, api)
        } catch {
            // Nobody will join this session, so it must not count against the owner's limit.
            do { try await api.endSession(id: session.id) } catch {}
            throw error
        }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let finished = loop.flatSubmit { () -> EventLoopFuture<Int32> in
            let runner = ShareRunner(
                options: options, sessionId: session.id, codes: codes, api: api, token: token,
                interactive: interactive, loop: loop)
            return runner.start()
        }
        return try await finished.get()
    }

    static func makeCodes(
        _ options: ShareOptions, sessionId: String, _ api: APIClient
    ) async throws -> [CodeSecrets] {
        // Read-only means that no control code exists, not that one is kept secret.
        let permissions: [Permission] = options.readOnly ? [.read] : [.control, .read]
        var codes: [CodeSecrets] = []
        do {
            for permission in permissions {
                let made = try await api.createCode(sessionId: sessionId, permission: permission)
                guard let name = ShareCodeId(made.code) else {
                    throw ClientError("the server created a code that this version cannot read")
                }
                codes.append(CodeSecrets(code: name, permission: permission))
            }
            return codes
        } catch {
            // Nobody knows the secrets of these codes, so they must not count against the plan.
            for code in codes { do { try await api.revoke(code: code.code) } catch {} }
            throw error
        }
    }
}
