import Glibc
import Model

/// Root runs the owner's verbs, the service runs as somebody else: files that root made would lock the service out.
enum StateOwner {
    /// Becomes the user that the state directory belongs to, where we are root and it is not ours.
    /// - Throws: ``CommandFailure`` when the system refuses.
    static func become(ownerOf directory: String) throws {
        var found = stat()
        guard geteuid() == 0, stat(directory, &found) == 0, found.st_uid != 0 else { return }
        guard setgroups(0, nil) == 0, setgid(found.st_gid) == 0, setuid(found.st_uid) == 0 else {
            throw CommandFailure(
                "cannot become the owner of \(directory): \(String(cString: strerror(errno))); run this as that user")
        }
    }
}
