import Model
import NIOCore
import Testing
import Wire

@testable import Relay

private let hostAdmission = HostAdmission(
    sessionId: "s", peerId: "host", userId: "ana", username: "ana", resumeToken: "host-token")

private func guestAdmission(
    _ peerId: String, _ permission: Permission = .control, slot: Slot = 1
) -> GuestAdmission {
    GuestAdmission(
        sessionId: "s", sessionName: nil, hostPublicKey: "k", hostUsername: "ana", permission: permission,
        peerId: peerId,
        userId: "u-\(peerId)", username: peerId, resumeToken: "\(peerId)-token", slot: slot)
}

@Suite struct RoomTests {
    private func room(guests: [String] = []) -> Room {
        var room = Room(sessionId: "s")
        _ = room.hostJoined(hostAdmission, resumeToken: "host-token", ack: nil)
        for (index, guest) in guests.enumerated() {
            _ = room.guestJoined(
                guestAdmission(guest, slot: Slot(index + 1)), publicKey: "", resumeToken: "\(guest)-token", ack: nil)
        }
        return room
    }

    private func message(_ actions: [Room.Action], _ kind: ServerMessage.Kind) -> ServerMessage? {
        for action in actions {
            switch action {
            case .send(let message, _) where message.type == kind: return message
            case .sendToGuests(let message) where message.type == kind: return message
            default: continue
            }
        }
        return nil
    }

    private func header(_ kind: FrameKind, _ sequence: UInt64 = 1, slot: Slot = 0) -> FrameHeader {
        FrameHeader(kind: kind, slot: slot, epoch: 1, sequence: sequence)
    }

    @Test func framesGoOnlyWhereTheirSenderMaySendThem() {
        var room = room(guests: ["a"])
        _ = room.guestJoined(guestAdmission("b", .read, slot: 2), publicKey: "", resumeToken: "t", ack: nil)
        #expect(room.accept(header(.broadcast), from: 0) == .broadcast)
        #expect(room.accept(header(.direct, slot: 2), from: 0) == .toGuest(2))
        #expect(room.accept(header(.direct, slot: 7), from: 0) == .drop)
        #expect(room.accept(header(.input), from: 1) == .toHost)
        #expect(room.accept(header(.input), from: 2) == .refuse("Read-only permission"))
        #expect(room.accept(header(.feedback), from: 2) == .toHost)
        for kind in [FrameKind.broadcast, .direct, .snapshot] {
            guard case .violation = room.accept(header(kind), from: 1) else {
                Issue.record("\(kind) from a guest"); continue
            }
        }
        for kind in [FrameKind.input, .feedback] {
            guard case .violation = room.accept(header(kind), from: 0) else {
                Issue.record("\(kind) from the host"); continue
            }
        }
    }

    @Test func aSeatThatIsGivenUpBeforeTheHostHasAnsweredItIsUnproved() {
        var room = room(guests: ["a", "b"])
        room.hostSpeaksFrames = true
        // The host sends a first frame to whoever has proved that it knows the words.
        #expect(room.accept(header(.direct, slot: 2), from: 0) == .toGuest(2))
        #expect(
            room.disconnected(slot: 1, attachment: 0, deliberate: true)
                .contains(.giveUpSeat(peerId: "a", reason: .unproved)))
        #expect(
            room.disconnected(slot: 2, attachment: 0, deliberate: true)
                .contains(.giveUpSeat(peerId: "b", reason: nil)))
    }

    @Test func nobodyIsUnprovedWhileTheHostCannotAnswer() {
        var room = room(guests: ["a"])
        let host = room.hostJoined(hostAdmission, resumeToken: "host-token", ack: nil).0
        room.hostSpeaksFrames = true
        _ = room.disconnected(slot: 0, attachment: host, deliberate: false)
        #expect(
            room.disconnected(slot: 1, attachment: 0, deliberate: true).contains(.giveUpSeat(peerId: "a", reason: nil)))
    }

    @Test func broadcastsCountUpWithoutAGapAndStartAnewWithANewHost() {
        var room = room()
        #expect(room.accept(header(.broadcast, 10), from: 0) == .broadcast)
        for wrong in [10, 9, 12, 0] as [UInt64] {
            guard case .violation = room.accept(header(.broadcast, wrong), from: 0) else {
                Issue.record("\(wrong)"); continue
            }
        }
        #expect(room.accept(header(.broadcast, 11), from: 0) == .broadcast)
        _ = room.hostJoined(hostAdmission, resumeToken: "t", ack: nil)
        #expect(room.accept(header(.broadcast, 3), from: 0) == .broadcast)
    }

    @Test func aDroppedHostIsWaitedForOnceAndThenTheRoomEnds() {
        var room = room(guests: ["a"])
        let actions = room.disconnected(slot: 0, attachment: 1, deliberate: true)
        #expect(message(actions, .peerDisconnected)?.isHost == true)
        guard case .waitForHost(let waiting)? = actions.last else { Issue.record("no timer"); return }
        // Its return makes the timer void.
        #expect(room.resume(token: "host-token", lastSequence: nil, ack: nil) != nil)
        #expect(room.hostWindowPassed(waiting: waiting).isEmpty)
        let again = room.disconnected(slot: 0, attachment: 2, deliberate: false)
        guard case .waitForHost(let second)? = again.last else { Issue.record("no timer"); return }
        #expect(room.hostWindowPassed(waiting: second) == [.end(.hostGone)])
        #expect(room.end(.hostEnded).isEmpty)
    }

    @Test func theEndOfAnOldConnectionIsNotTakenForTheEndOfTheNewOne() {
        var room = room(guests: ["a"])
        #expect(room.resume(token: "a-token", lastSequence: nil, ack: nil)?.attachment == 1)
        #expect(room.disconnected(slot: 1, attachment: 0, deliberate: true).isEmpty)
        #expect(room.guests[1]?.isConnected == true)
        #expect(!room.disconnected(slot: 1, attachment: 1, deliberate: true).isEmpty)
        #expect(room.guests[1] == nil)
    }

    @Test func aGuestThatDoesNotReturnGivesItsSeatUpExactlyOnce() {
        var room = room(guests: ["a"])
        let actions = room.disconnected(slot: 1, attachment: 0, deliberate: false)
        #expect(actions.contains(.waitForGuest(1, attachment: 0)))
        #expect(room.guestWindowPassed(slot: 1, attachment: 0).contains(.giveUpSeat(peerId: "a", reason: nil)))
        #expect(room.guestWindowPassed(slot: 1, attachment: 0).isEmpty)
        #expect(room.resume(token: "a-token", lastSequence: nil, ack: nil) == nil)
    }

    @Test func aHostThatReturnsHearsOfEveryGuestAgain() {
        var room = room(guests: ["a", "b"])
        _ = room.disconnected(slot: 0, attachment: 1, deliberate: false)
        _ = room.guestJoined(guestAdmission("c", slot: 3), publicKey: "", resumeToken: "t", ack: nil)
        let resumption = room.resume(token: "host-token", lastSequence: nil, ack: .number(1))
        let joined = resumption?.actions.compactMap { action -> String? in
            if case .send(let message, 0) = action, message.type == .guestJoined { message.peerId } else { nil }
        }
        #expect(joined == ["a", "b", "c"])
    }

    @Test func aSlotIsNeverGivenToTwo() {
        var room = room(guests: ["a"])
        #expect(room.guestJoined(guestAdmission("b", slot: 1), publicKey: "", resumeToken: "t", ack: nil) == nil)
        #expect(room.guestJoined(guestAdmission("b", slot: 0), publicKey: "", resumeToken: "t", ack: nil) == nil)
    }

    // A room that came back from the disk

    private var stored: StoredRoom {
        func seat(_ slot: Slot, _ name: String) -> SeatRecord {
            SeatRecord(
                slot: Int(slot), peerId: name, userId: "u-\(name)", username: name, publicKey: "", permission: .control,
                resumeDigest: ResumeToken.digest("\(name)-token"))
        }
        return StoredRoom(sessionId: "s", host: seat(0, "host"), guests: [seat(1, "a"), seat(4, "b")])
    }

    @Test func aRestoredRoomWaitsForEverybodyAndKnowsThemByTheirTokens() {
        var (room, actions) = Room.restored(stored)
        #expect(actions.count == 3)
        #expect(room.resume(token: "nobody", lastSequence: nil, ack: nil) == nil)
        #expect(room.resume(token: "b-token", lastSequence: 57, ack: nil)?.slot == 4)
        // Nothing is left of what the host sent: it is asked for all it has.
        let host = room.resume(token: "host-token", lastSequence: nil, ack: .number(1))
        guard case .send(let ack, 0)? = host?.actions.first else { Issue.record("no answer"); return }
        #expect(ack.fromSequence == 0)
    }

    @Test func aGuestOfARestoredRoomGoesOnWhereItWasWhoeverComesFirst() {
        var (room, _) = Room.restored(stored)
        #expect(room.resume(token: "a-token", lastSequence: 57, ack: nil)?.skipsTo == 57)
        _ = room.resume(token: "host-token", lastSequence: nil, ack: nil)
        #expect(room.accept(header(.broadcast, 40), from: 0) == .broadcast)
        // Further than what the host has sent again so far.
        #expect(room.resume(token: "b-token", lastSequence: 60, ack: nil)?.skipsTo == 60)
    }

    @Test func noNumberThatAGuestNamesStopsTheServer() {
        var (room, _) = Room.restored(stored)
        #expect(room.resume(token: "a-token", lastSequence: .max, ack: nil) == nil)
        #expect(room.resume(token: "a-token", lastSequence: 1 << 62, ack: nil) == nil)
        #expect(room.resume(token: "a-token", lastSequence: (1 << 62) - 1, ack: nil)?.slot == 1)
    }

    @Test func inARoomThatLostNothingAGuestFromTheFutureIsRefused() {
        var room = room(guests: ["a"])
        #expect(room.accept(header(.broadcast, 40), from: 0) == .broadcast)
        #expect(room.resume(token: "a-token", lastSequence: 60, ack: nil) == nil)
    }
}

@Suite struct PeerOutboxTests {
    /// While all peers together have too much waiting, a slow one falls behind earlier.
    @Test func aCrowdedServerLeavesASlowPeerLess() {
        var outbox = PeerOutbox(capacity: 10_240, awaitsSnapshot: false)
        let bytes = ByteBuffer(repeating: 1, count: 1000)
        #expect(outbox.offer(bytes, .broadcast, socketTakesMore: false, capacity: 2048) == .queued)
        #expect(outbox.offer(bytes, .broadcast, socketTakesMore: false, capacity: 2048) == .queued)
        #expect(outbox.offer(bytes, .broadcast, socketTakesMore: false, capacity: 2048) == .fellBehind)
        #expect(outbox.queuedBytes == 0)
    }

    private let kilobyte = ByteBuffer(repeating: 0, count: 1024)

    @Test func broadcastsWaitForASnapshot() {
        var outbox = PeerOutbox(capacity: 10_240, awaitsSnapshot: true)
        #expect(outbox.offer(kilobyte, .broadcast, socketTakesMore: true) == .dropped)
        #expect(outbox.offer(kilobyte, .control, socketTakesMore: true) == .send)
        #expect(outbox.offer(kilobyte, .snapshot, socketTakesMore: true) == .send)
        #expect(outbox.offer(kilobyte, .broadcast, socketTakesMore: true) == .send)
    }

    @Test func aSlowPeerLosesItsBroadcastsAndKeepsItsControlMessagesInOrder() {
        var outbox = PeerOutbox(capacity: 10_240, awaitsSnapshot: false)
        for number in 0..<9 {
            let kind: PeerOutbox.Kind = number % 3 == 0 ? .control : .broadcast
            #expect(
                outbox.offer(ByteBuffer(repeating: UInt8(number), count: 1024), kind, socketTakesMore: false) == .queued
            )
        }
        #expect(outbox.offer(kilobyte, .broadcast, socketTakesMore: false) == .queued)
        #expect(outbox.offer(kilobyte, .broadcast, socketTakesMore: false) == .fellBehind)
        #expect(outbox.offer(kilobyte, .broadcast, socketTakesMore: false) == .dropped)
        #expect([0, 3, 6].allSatisfy { outbox.next()?.readableBytesView.first == UInt8($0) })
        #expect(outbox.next() == nil && outbox.queuedBytes == 0)
    }

    @Test func aPeerThatTakesNotEvenControlMessagesOverflows() {
        var outbox = PeerOutbox(capacity: 2048, awaitsSnapshot: false)
        #expect(outbox.offer(kilobyte, .control, socketTakesMore: false) == .queued)
        #expect(outbox.offer(kilobyte, .control, socketTakesMore: false) == .queued)
        #expect(outbox.offer(kilobyte, .control, socketTakesMore: false) == .overflowed)
    }
}

@Suite struct PeerLivenessTests {
    @Test func aSilentPeerIsPingedAndThenGivenUp() {
        var liveness = PeerLiveness(now: .uptimeNanoseconds(0))
        func at(_ seconds: UInt64) -> NIODeadline { .uptimeNanoseconds(seconds * 1_000_000_000) }
        liveness.heard(now: at(4))
        #expect(liveness.check(now: at(10)) == .wait(.seconds(4)))
        #expect(liveness.check(now: at(14)) == .ping(nextCheckIn: .seconds(15)))
        liveness.heard(now: at(15))
        #expect(liveness.check(now: at(29)) == .ping(nextCheckIn: .seconds(15)))
        #expect(liveness.check(now: at(40)) == .gone)
    }
}

@Suite struct PeerAllowanceTests {
    @Test func aBurstIsAllowedAndAFloodIsNot() {
        func at(_ milliseconds: UInt64) -> NIODeadline { .uptimeNanoseconds(milliseconds * 1_000_000) }
        var allowance = PeerAllowance(perSecond: 1000, burst: 2000, now: at(0))
        let answers = [
            allowance.spend(2000, now: at(0)), allowance.spend(500, now: at(500)), allowance.spend(1000, now: at(600)),
        ]
        #expect(answers == [true, true, false])
    }
}
