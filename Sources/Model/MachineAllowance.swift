/// What a machine allows its server to use it for. It is set and changed only on the machine.
public enum MachineAllowance: String, Sendable, Codable, CaseIterable {
    /// Services of the machine get public addresses for visitors.
    case tunnels
}
