/// Lets one order at a time reach the certificate authority. Authorities limit new orders for each account, and the
/// orders of several keepers would otherwise create the account twice.
public actor ACMETurn {
    private var isTaken = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    public init() {}

    /// Waits for the turn. The caller gives it back.
    func take() async {
        guard isTaken else {
            isTaken = true
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    func giveBack() {
        if waiting.isEmpty { isTaken = false } else { waiting.removeFirst().resume() }
    }
}
