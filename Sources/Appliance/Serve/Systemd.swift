import CSystemd
import Glibc
import Model
import Sockets
import Web

/// The interface between systemd and a service.
enum Systemd {
    // MARK: Sockets

    /// The sockets that systemd has opened for us, by name. Afterwards `LISTEN_*` is removed and the descriptors are
    /// close-on-exec. Empty if there are none, or if they are for another process.
    /// - Throws: ``CommandFailure`` naming a descriptor that is not expected.
    static func listeners(https: Bool) throws -> [ListenerConfiguration] {
        var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        let count = sd_listen_fds_with_names(1, &names)
        guard count >= 0 else { throw CommandFailure("systemd's sockets cannot be taken over: \(reason(-count))") }
        defer { free(names) }
        var found: [ListenerConfiguration] = []
        for index in 0..<Int(count) {
            let descriptor = SD_LISTEN_FDS_START + CInt(index)
            let name = names?[index].map { pointer in
                defer { free(pointer) }
                return String(cString: pointer)
            }
            guard sd_is_socket(descriptor, AF_UNSPEC, CInt(SOCK_STREAM.rawValue), 1) > 0 else {
                throw CommandFailure(
                    "systemd handed over descriptor \(descriptor) ('\(name ?? "")'), which is not a listening stream socket"
                )
            }
            let role: ListenerConfiguration.Role
            switch name {
            case "https" where https: role = .https
            case "http": role = https ? .redirect : .http
            default:
                throw CommandFailure(
                    """
                    systemd handed over a socket named '\(name ?? "")'; sockets are named http and https \
                    (FileDescriptorName= in postern.socket)\
                    \(https ? "" : ", and https is off: see 'Behind a web server' in configure.md")
                    """)
            }
            found.append(ListenerConfiguration(role: role, source: .inherited(descriptor: descriptor)))
        }
        return found
    }

    // MARK: Notifications

    /// - Parameter status: nil does not change the status.
    static func ready(_ status: String?) { notify("READY=1\(status.map { "\nSTATUS=\($0)" } ?? "")") }

    static func status(_ text: String) { notify("STATUS=\(text)") }

    /// A reload has begun. ``ready(_:)`` ends it.
    static func reloading() {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        notify("RELOADING=1\nMONOTONIC_USEC=\(now.tv_sec * 1_000_000 + now.tv_nsec / 1000)\nSTATUS=reloading")
    }

    /// - Parameter seconds: the maximum time until the service has stopped.
    static func stopping(seconds: Int) {
        notify("STOPPING=1\nEXTEND_TIMEOUT_USEC=\(seconds * 1_000_000)\nSTATUS=stopping: clients are told to reconnect")
    }

    static func feedWatchdog() { notify("WATCHDOG=1") }

    /// The interval at which the watchdog must be fed, in microseconds. Nil if there is none.
    static var watchdogInterval: UInt64? {
        var interval: UInt64 = 0
        return sd_watchdog_enabled(0, &interval) > 0 && interval > 0 ? interval : nil
    }

    private static func notify(_ text: String) { sd_notify(0, text) }

    private static func reason(_ number: CInt) -> String { String(cString: strerror(number)).lowercased() }
}
