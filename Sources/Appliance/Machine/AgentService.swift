import Agent
import Client
import Glibc
import Model

/// The systemd service `postern-agent`, as installed by the package.
struct AgentService {
    static let name = "postern-agent"
    static let user = "postern-agent"

    let directory: String

    /// Root enrols, but the service runs as its own user: files that root has written are given to that user.
    func giveFilesAway() {
        guard geteuid() == 0, directory == MachineState.standardDirectory, let entry = getpwnam(Self.user) else {
            return
        }
        let (user, group) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
        for path in [
            directory, "\(directory)/machine.json", "\(directory)/machine.pem", "\(directory)/machine-next.pem",
        ] {
            _ = lchown(path, user, group)
        }
    }

    /// Enables the service and starts it with the new enrolment.
    /// - Returns: false if there is no such service, or if we are not allowed to.
    /// - Throws: ``ClientError`` if systemd refuses.
    func start() async throws -> Bool {
        guard geteuid() == 0, directory == MachineState.standardDirectory, access("/run/systemd/system", F_OK) == 0,
            try await Program.run("/usr/bin/systemctl", ["cat", "\(Self.name).service"], isQuiet: true) == 0
        else { return false }
        for arguments in [["enable", "--quiet", Self.name], ["restart", Self.name]] {
            guard try await Program.run("/usr/bin/systemctl", arguments) == 0 else {
                throw ClientError(
                    "systemctl \(arguments.joined(separator: " ")) failed; see: journalctl -u postern-agent")
            }
        }
        return true
    }
}
