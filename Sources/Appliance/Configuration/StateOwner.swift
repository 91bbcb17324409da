import Glibc
import Model

/// Root runs the owner's commands, but the service has another user: the service could not access files that root creates.
enum StateOwner {
    /// Switches to the owner of the state directory, if we are root and it is not ours.
    /// - Throws: ``CommandFailure`` if the system refuses.
    static func become(ownerOf directory: String) throws {
        var found = stat()
        guard geteuid() == 0, stat(directory, &found) == 0, found.st_uid != 0 else { return }
        guard setgroups(0, nil) == 0, setgid(found.st_gid) == 0, setuid(found.st_uid) == 0 else {
            throw CommandFailure(
                "cannot become the owner of \(directory): \(String(cString: strerror(errno))); run this as that user")
        }
    }
}
