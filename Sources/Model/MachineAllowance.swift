/// What a machine lets its server use it for. It is chosen on the machine and changed only there.
public enum MachineAllowance: String, Sendable, Codable, CaseIterable {
    /// Services of the machine get addresses that visitors open.
    case tunnels
}
