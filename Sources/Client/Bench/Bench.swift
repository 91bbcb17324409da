import Model
import NIOCore
import NIOPosix
import UnixSignals
import Wire

/// `postern bench`: measures a session through the user's own appliance from this machine.
public enum Bench {
    /// The measurements, in their order.
    public enum Step: String, Sendable, CaseIterable {
        case echo = "a keystroke and its echo"
        case bulk = "throughput"
        case drop = "a dropped connection"
    }

    public struct Report: Sendable, Encodable {
        /// Keystrokes that were sent, one after another.
        public var keystrokes = 0
        /// Time from a guest's key to its echo on the guest's side: through the server to the host, and back. In
        /// milliseconds.
        public var echoP50 = 0.0
        public var echoP99 = 0.0
        /// From the host to a guest, in bytes per second.
        public var bytesPerSecond = 0
        /// Messages sent while the guest's connection was cut and restored.
        public var messages = 0
        public var lost = 0
        public var repeated = 0
        /// Time from the first reconnect attempt until no message was missing, in milliseconds.
        public var caughtUpAfter = 0.0
    }

    /// Creates a session, measures, and ends the session, also on an interrupt.
    /// - Parameter onStep: called at the start of each step.
    /// - Throws: ``ClientError``.
    public static func run(
        address: ServerAddress, token: String, onStep: @escaping @Sendable (Step) -> Void
    ) async throws -> Report {
        let api = APIClient(address: address, token: token)
        let session = try await api.startSession(hostPublicKey: "bench")
        do {
            let code = try await api.createCode(sessionId: session.id, permission: .control)
            let report = try await measure(address, token, session.id, code.code, onStep)
            try await api.endSession(id: session.id)
            return report
        } catch {
            // The server ends a session without a host by itself; this only does it sooner.
            try? await api.endSession(id: session.id)
            throw error
        }
    }

    private static func measure(
        _ address: ServerAddress, _ token: String, _ sessionId: String, _ code: String,
        _ onStep: @escaping @Sendable (Step) -> Void
    ) async throws -> Report {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let run = try await loop.submit {
            NIOLoopBound(
                BenchRun(
                    address: address, token: token, sessionId: sessionId, code: code, loop: loop, onStep: onStep),
                eventLoop: loop)
        }.get()
        let signals = Task {
            for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup) {
                loop.execute { run.value.fail(ClientError("interrupted")) }
            }
        }
        defer { signals.cancel() }
        return try await loop.flatSubmit { run.value.start() }.get()
    }
}
