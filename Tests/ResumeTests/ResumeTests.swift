import Glibc
import Relay
import SessionHost
import Telemetry
import Terminal
import Testing
import Wire

@testable import Client

/// Schedules of faults from a fixed seed: `SCHEDULES=100000 swift test --filter ResumeTests` runs more of them.
private let schedules = getenv("SCHEDULES").flatMap { Int(String(cString: $0)) } ?? 1000
/// Schedules that share one session: a handshake costs more than all of them.
private let perWorld = 100
/// In every so many of a session's schedules somebody leaves and somebody else joins, in the middle of the faults.
private let comings = 40

private struct Dice: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }
    mutating func next() -> UInt64 {
        // xorshift64*: repeatable, and random enough to choose a fault.
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }
}

/// Host, guests and the real relay, through faults of every kind: afterwards every guest's screen is the host's, what was typed
/// arrived at most once and in order, and a lossless share's output arrived exactly once.
@Suite struct ResumeTests {
    @Test(arguments: 0..<max(1, schedules / perWorld)) func everyScreenIsTheHostsAfterAnyFaults(seed: Int) throws {
        var dice = Dice(seed: UInt64(seed + 1))
        let world = try World(guests: 2, lossless: seed % 2 == 1)
        for schedule in 0..<perWorld {
            try run(world, &dice, replacing: schedule % comings == 0)
            try world.settle()
            for guest in world.departed { check(typedBy: guest, in: world, "seed \(seed), schedule \(schedule)") }
            for guest in world.guests {
                let label = "seed \(seed), schedule \(schedule), guest \(guest.number)"
                // One difference is enough: what follows from it says nothing new.
                try #require(difference(guest.screen, world.host.screen) == nil, "\(label)")
                check(typedBy: guest, in: world, label)
                // Both sides know what became of everything that was typed.
                #expect(guest.engine.unconfirmedInput == 0, "\(label)")
                #expect(arrived(of: guest, in: world) == guest.typedBytes - guest.lostBytes, "\(label)")
                if world.lossless {
                    let begun = try #require(guest.atRest)
                    #expect(guest.restarts == begun.restarts, "\(label): a lossless guest skipped")
                    #expect(
                        guest.raw.dropFirst(begun.raw) == world.printed.dropFirst(begun.printed),
                        "\(label): lost or repeated output")
                    // Also of those who came into the middle of it.
                    let since = world.printed.dropFirst(guest.printedBefore)
                    #expect(guest.raw.suffix(since.count) == since, "\(label): lost or repeated output since it came")
                }
            }
        }
        // Otherwise nothing has been shown of slow readers.
        if !world.lossless { #expect(world.metrics.slowConsumers.value > 0, "seed \(seed): nobody fell behind") }
    }

    /// What a person could see of one screen and not of the other: characters, colours, attributes, cursor, modes.
    private func difference(_ one: Screen, _ other: Screen) -> String? {
        for (row, (left, right)) in zip(one.lines, other.lines).enumerated() where left != right {
            return "row \(row): \(left) \(right)"
        }
        if (one.rows, one.columns) != (other.rows, other.columns) { return "sizes" }
        if one.cursor != other.cursor { return "cursor: \(one.cursor) \(other.cursor)" }
        if one.modes != other.modes { return "modes: \(one.modes) \(other.modes)" }
        return one.isAlternate == other.isAlternate ? nil : "alternate screen"
    }

    /// - Parameter replacing: somebody leaves on the way, and somebody else comes.
    private func run(_ world: World, _ dice: inout Dice, replacing: Bool) throws {
        var line = 0
        let steps = Int.random(in: 3...25, using: &dice)
        let (leaving, joining) = (Int.random(in: 0..<steps, using: &dice), Int.random(in: 0..<steps, using: &dice))
        for step in 0..<steps {
            if replacing, step == leaving, let guest = world.guests.randomElement(using: &dice) {
                try world.leave(guest)
            }
            if replacing, step == joining { try world.join() }
            guard let guest = world.guests.randomElement(using: &dice) else { continue }
            let some = Int.random(in: 0...4, using: &dice)
            switch Int.random(in: 0..<27, using: &dice) {
            case 0...5:
                line += 1
                let style = [
                    "", "\u{1B}[1m", "\u{1B}[3;7H", "\u{1B}[2J", "\u{1B}[0m", "\u{1B}[?1049h", "\u{1B}[?1049l",
                ]
                world.output((style.randomElement(using: &dice) ?? "") + "line \(line) of \(some)\r\n")
            case 6...7: world.output(String(repeating: "flood \(line) ", count: 300 * some) + "\r\n")
            case 8...9: world.type(guest)
            case 10...12: try world.carryHost(some)
            case 13...15: try world.carry(guest, some)
            case 16: world.cut(guest)
            case 17: world.cutHost()
            case 18: try world.duplicate(guest)
            case 25: try world.duplicateHost()
            case 19: try world.restart()
            case 20: guest.line?.setWritable(some > 2)
            case 21: try world.reconnect(guest)
            case 22: try world.reconnectHost()
            case 23...24:
                // A reader that has stopped, while more is said than is kept for it.
                guest.line?.setWritable(false)
                for number in 0..<some {
                    world.output(String(repeating: "past \(number) ", count: 400) + "\r\n")
                    try world.carryHost()
                }
            default: world.fireTimers()
            }
        }
    }

    /// Bytes of a guest's input that the host was told to type.
    private func arrived(of guest: World.Guest, in world: World) -> Int {
        String(decoding: world.typed, as: UTF8.self).split(separator: "<").filter { $0.hasPrefix("\(guest.number):") }
            .reduce(0) { $0 + $1.utf8.count + 1 }
    }

    /// `<slot:number>` in the order in which it was typed, each once or not at all.
    private func check(typedBy guest: World.Guest, in world: World, _ label: String) {
        let text = String(decoding: world.typed, as: UTF8.self)
        let mine = text.split(separator: "<").map { $0.dropLast().split(separator: ":") }
            .filter { $0.first == "\(guest.number)" }.compactMap { $0.last.flatMap { Int($0) } }
        #expect(zip(mine, mine.dropFirst()).allSatisfy { $0 < $1 }, "\(label): typed twice or out of order: \(mine)")
    }
}
