// What is inside the ciphertext. The first byte says which message it is; integers are big-endian.
//
// Broadcast (kind 1)    0 output: bytes · 1 size: rows u16, columns u16 · 2 signature: 64 bytes · 3 exited: status u32 · 4 skipped
//                       5 stopped
// Host → guest (2, 3)   0 welcome: Ed25519 key 32, flags u8 (1 lossless), title UTF-8
//                       1 epoch key: epoch u32, key 32
//                       2 snapshot: sequence u64, running hash 32, rows u16, columns u16, bytes (the only kind-3 message)
//                       3 approval pending
//                       4 typed: total u64
// Guest → host (5)      0 name: UTF-8 · 1 acknowledge: sequence u64 · 2 snapshot please

import Wire

/// Broadcast from the host to every guest.
public enum BroadcastMessage: Sendable, Equatable {
    case output([UInt8])
    case size(rows: UInt16, columns: UInt16)
    case exited(status: UInt32)
    /// Output is missing here. What follows is usable only after a snapshot.
    case skipped
    /// The host's person ended the sharing; the command continues without guests.
    case stopped

    var bytes: [UInt8] {
        switch self {
        case .output(let bytes): [0] + bytes
        case .size(let rows, let columns): [1] + bigEndian(rows) + bigEndian(columns)
        case .exited(let status): [3] + bigEndian(status)
        case .skipped: [4]
        case .stopped: [5]
        }
    }
}

/// From the host to one guest.
public enum DirectMessage: Sendable, Equatable {
    public struct Welcome: Sendable, Equatable {
        /// The key that verifies the host's broadcast.
        public let signingKey: [UInt8]
        /// Whether the guest must acknowledge what it has shown.
        public let lossless: Bool
        public let title: String

        public init(signingKey: [UInt8], lossless: Bool, title: String) {
            self.signingKey = signingKey
            self.lossless = lossless
            self.title = title
        }
    }

    /// A position in the host's stream, and the contents of the screen at this position.
    public struct Snapshot: Sendable, Equatable {
        /// The last broadcast that is included in this state.
        public let sequence: UInt64
        public let runningHash: [UInt8]
        public let rows: UInt16
        public let columns: UInt16
        /// Terminal output that brings a reset terminal of that size to the state.
        public let output: [UInt8]

        public init(sequence: UInt64, runningHash: [UInt8], rows: UInt16, columns: UInt16, output: [UInt8]) {
            self.sequence = sequence
            self.runningHash = runningHash
            self.rows = rows
            self.columns = columns
            self.output = output
        }
    }

    case welcome(Welcome)
    case epochKey(epoch: UInt32, key: [UInt8])
    case snapshot(Snapshot)
    case approvalPending
    /// The shared command has accepted this many bytes of the guest's input, counted from its pairing on. The first
    /// such message in a generation reports what the host has accepted in the earlier generations.
    case inputTaken(total: UInt64)

    var kind: FrameKind { if case .snapshot = self { .snapshot } else { .direct } }

    var bytes: [UInt8] {
        switch self {
        case .welcome(let welcome):
            [0] + welcome.signingKey + [welcome.lossless ? 1 : 0] + Array(welcome.title.utf8)
        case .epochKey(let epoch, let key): [1] + bigEndian(epoch) + key
        case .snapshot(let state):
            [2] + bigEndian(state.sequence) + state.runningHash + bigEndian(state.rows) + bigEndian(state.columns)
                + state.output
        case .approvalPending: [3]
        case .inputTaken(let total): [4] + bigEndian(total)
        }
    }

    init(bytes: [UInt8]) throws(EndToEndError) {
        var reader = ByteReader(bytes)
        switch try reader.byte() {
        case 0:
            self = .welcome(
                Welcome(
                    signingKey: try reader.take(32), lossless: try reader.byte() & 1 == 1,
                    title: String(decoding: reader.rest(), as: UTF8.self)))
        case 1: self = .epochKey(epoch: try reader.uint32(), key: try reader.take(32))
        case 2:
            self = .snapshot(
                Snapshot(
                    sequence: try reader.uint64(), runningHash: try reader.take(32), rows: try reader.uint16(),
                    columns: try reader.uint16(), output: reader.rest()))
        case 3: self = .approvalPending
        case 4: self = .inputTaken(total: try reader.uint64())
        default: throw .malformed
        }
    }
}

/// From a guest to the host, with any permission.
public enum FeedbackMessage: Sendable, Equatable {
    /// The name that the guest wants; at most ``nameBytes``.
    case name(String)
    /// Everything up to this broadcast was shown.
    case acknowledge(sequence: UInt64)
    case snapshotRequest

    /// Maximum length of a name, in bytes of UTF-8.
    public static let nameBytes = 64

    var bytes: [UInt8] {
        switch self {
        case .name(let name): [0] + Array(name.utf8.prefix(Self.nameBytes))
        case .acknowledge(let sequence): [1] + bigEndian(sequence)
        case .snapshotRequest: [2]
        }
    }

    init(bytes: [UInt8]) throws(EndToEndError) {
        var reader = ByteReader(bytes)
        switch try reader.byte() {
        case 0:
            let name = reader.rest()
            guard name.count <= Self.nameBytes else { throw .malformed }
            self = .name(String(decoding: name, as: UTF8.self))
        case 1: self = .acknowledge(sequence: try reader.uint64())
        case 2: self = .snapshotRequest
        default: throw .malformed
        }
    }
}
