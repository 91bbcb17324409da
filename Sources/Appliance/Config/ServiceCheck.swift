import Glibc
import Model

/// Problems that would prevent a start: mistakes in the configuration, and files that the packaged service may not read or write.
enum ServiceCheck {
    /// The unit that would start with this configuration. Nil if another file or flags are used.
    static func unit(for configuration: Configuration, flags: [String: String]) -> ServiceUnit? {
        guard configuration.file == Configuration.standardFile, flags.isEmpty else { return nil }
        return ServiceUnit.installed()
    }

    /// Checks as the service's user. This process is that user afterwards.
    /// - Parameter unit: nil checks as the owner of the state directory.
    static func problems(_ configuration: Configuration, _ unit: ServiceUnit?) -> [String] {
        // Files are checked only if the rules are met: otherwise it is unknown which files are used.
        guard configuration.problems.isEmpty else { return configuration.problems }
        guard let unit else {
            try? StateOwner.become(ownerOf: configuration.stateDirectory)
            return Preflight.problems(configuration)
        }
        let paths = self.paths(configuration, ServiceUnit.handedOver)
        // systemd reads the files that it passes on as root.
        let isHandedOver = !unit.credentials.isEmpty && unit.credentials.allSatisfy { paths[$0.key] == $0.value }
        let certificates = isHandedOver ? Preflight.certificates(configuration) : nil
        do { try unit.become() } catch { return ["\(error)"] }
        let found = (certificates ?? Preflight.certificates(configuration)) + Preflight.others(configuration)
        return found.map { certificates == nil ? hint($0, unit) : $0 } + stale(paths, unit)
            + written(configuration, unit)
    }

    static func paths(_ configuration: Configuration, _ keys: [String]) -> [String: [String]] {
        var found: [String: [String]] = [:]
        for key in keys {
            let values = configuration[key]?.text.split(separator: ",").map { String($0).trimmed } ?? []
            if !values.isEmpty { found[key] = values }
        }
        return found
    }

    private static func hint(_ problem: String, _ unit: ServiceUnit) -> String {
        guard problem.hasSuffix("permission denied") else { return problem }
        return
            "\(problem) for the user \(unit.user); run 'sudo postern config apply' to have systemd pass it to the service"
    }

    /// Files that the service gets and that no longer match the configuration.
    private static func stale(_ paths: [String: [String]], _ unit: ServiceUnit) -> [String] {
        unit.credentials.filter { paths[$0.key] != $0.value }.keys.sorted().map {
            "\($0) has changed, and \(ServiceUnit.name) still uses \(unit.credentials[$0]?.first ?? ""); run 'sudo postern config apply'"
        }
    }

    private static func written(_ configuration: Configuration, _ unit: ServiceUnit) -> [String] {
        ServiceUnit.written.compactMap { key in
            guard let value = configuration[key], let problem = problem(key, value.text, unit) else { return nil }
            return "\(value.source): \(problem)"
        }
    }

    private static func problem(_ key: String, _ path: String, _ unit: ServiceUnit) -> String? {
        if unit.owns(path) { return nil }
        if unit.hides(path) {
            return "\(ServiceUnit.name) cannot access \(path); choose a directory below /srv or /var/lib for \(key)"
        }
        if !unit.mayWrite(path) {
            return "\(ServiceUnit.name) may not write to \(path); run 'sudo postern config apply' to allow it"
        }
        if unit.allows(path, W_OK | X_OK) { return nil }
        return
            "\(path): \(String(cString: strerror(errno)).lowercased()) for the user \(unit.user); run 'sudo postern config apply' to create it "
            + "or see what to change"
    }
}
