public import Model

// Messages between an enrolled machine and its server: in `CALL` and `ANSWER` frames of the link, and over REST.

/// The state of a machine as it reports it every ten seconds.
public struct MachineReport: Codable, Sendable, Equatable {
    /// Load averages of 1, 5 and 15 minutes: the number of processes that ran or waited.
    public var load: [Double]
    public var processors: Int
    /// In bytes.
    public var memoryTotal: Int
    public var memoryAvailable: Int
    /// Size of the file system that contains the agent's state, in bytes.
    public var diskTotal: Int
    public var diskFree: Int
    /// Seconds since the machine started.
    public var uptime: Int
    /// The number of tunnels that the machine serves now.
    public var tunnels: Int

    public init(
        load: [Double], processors: Int, memoryTotal: Int, memoryAvailable: Int, diskTotal: Int, diskFree: Int,
        uptime: Int, tunnels: Int
    ) {
        self.load = load
        self.processors = processors
        self.memoryTotal = memoryTotal
        self.memoryAvailable = memoryAvailable
        self.diskTotal = diskTotal
        self.diskFree = diskFree
        self.uptime = uptime
        self.tunnels = tunnels
    }

    /// False if the values are impossible. A page does not show such a report.
    public var isPlausible: Bool {
        load.count == 3 && load.allSatisfy { $0.isFinite && (0...1_000_000).contains($0) } && processors > 0
            && memoryTotal >= 0 && memoryAvailable >= 0 && diskTotal >= 0 && diskFree >= 0 && uptime >= 0
            && tunnels >= 0
    }
}

/// A tunnel of a machine, in the server's view.
public struct DeclaredTunnel: Codable, Sendable, Equatable {
    public var id: String
    /// The machine's label for the tunnel; nil if the machine no longer declares it.
    public var label: String?
    public var kind: TunnelKind
    public var name: String?
    public var port: Int?
    /// The URL that visitors use.
    public var url: String

    public init(id: String, label: String?, kind: TunnelKind, name: String?, port: Int?, url: String) {
        self.id = id
        self.label = label
        self.kind = kind
        self.name = name
        self.port = port
        self.url = url
    }
}

// The REST resources.

/// The request body of `POST /machines`.
public struct NewMachine: Codable, Sendable {
    /// A self-signed certificate in PEM. It proves that the requester has the key.
    public var certificate: String
    /// From `POST /machines/invitations`; without it, the caller's own token is used.
    public var code: String?
    /// Nil uses the host name.
    public var name: String?
    public var hostName: String
    public var allows: [MachineAllowance]
    public var software: String
    public var platform: String

    public init(
        certificate: String, code: String?, name: String?, hostName: String, allows: [MachineAllowance],
        software: String, platform: String
    ) {
        self.certificate = certificate
        self.code = code
        self.name = name
        self.hostName = hostName
        self.allows = allows
        self.software = software
        self.platform = platform
    }
}

/// The response of `POST /machines/invitations`. The code is shown only once.
public struct MachineInvitation: Codable, Sendable, Equatable {
    public var code: String
    public var expiresAt: String
    /// The command to run on the machine.
    public var command: String

    public init(code: String, expiresAt: String, command: String) {
        self.code = code
        self.expiresAt = expiresAt
        self.command = command
    }
}

/// The request body of `PATCH /machines/:id`.
public struct MachineChange: Codable, Sendable {
    public var name: String

    public init(name: String) { self.name = name }
}

/// A machine.
public struct MachineResource: Codable, Sendable, Equatable {
    public var id: String
    public var name: String
    /// `online` or `offline`.
    public var state: String
    /// The person who enrolled the machine.
    public var owner: String
    /// SHA-256 of its public key.
    public var fingerprint: String
    public var allows: [MachineAllowance]
    public var software: String
    public var platform: String
    public var enrolledAt: String
    @NullWhenAbsent public var lastSeenAt: String?
    @NullWhenAbsent public var address: String?
    /// When its link was opened.
    @NullWhenAbsent public var onlineSince: String?
    @NullWhenAbsent public var roundTripMilliseconds: Double?
    @NullWhenAbsent public var report: MachineReport?
    /// Why the machine is blocked: its key is on two machines.
    @NullWhenAbsent public var problem: String?

    public init(
        id: String, name: String, state: String, owner: String, fingerprint: String, allows: [MachineAllowance],
        software: String, platform: String, enrolledAt: String, lastSeenAt: String?, address: String?,
        onlineSince: String?, roundTripMilliseconds: Double?, report: MachineReport?, problem: String?
    ) {
        self.id = id
        self.name = name
        self.state = state
        self.owner = owner
        self.fingerprint = fingerprint
        self.allows = allows
        self.software = software
        self.platform = platform
        self.enrolledAt = enrolledAt
        _lastSeenAt = NullWhenAbsent(wrappedValue: lastSeenAt)
        _address = NullWhenAbsent(wrappedValue: address)
        _onlineSince = NullWhenAbsent(wrappedValue: onlineSince)
        _roundTripMilliseconds = NullWhenAbsent(wrappedValue: roundTripMilliseconds)
        _report = NullWhenAbsent(wrappedValue: report)
        _problem = NullWhenAbsent(wrappedValue: problem)
    }
}
