/// Which idle connections are kept for the next request: a pure rule, without sockets or a clock.
struct ConnectionPool<Key: Hashable, Connection> {
    struct Bounds {
        /// Idle connections to one endpoint: more are only opened by a burst, and closed behind it.
        var perKey = 4
        /// Idle connections to all endpoints together.
        var total = 32
        /// How long one may stay idle, in nanoseconds: less than what servers commonly allow (nginx 75 s). One that allows less is met by a
        /// retry.
        var idle: Int64
    }

    private struct Idle {
        let key: Key
        let connection: Connection
        let since: Int64
        let number: Int
    }

    private let bounds: Bounds
    /// Oldest first.
    private var idle: [Idle] = []
    private var newest = 0

    init(bounds: Bounds) { self.bounds = bounds }

    var count: Int { idle.count }

    /// The connection that was used last: the others may end.
    mutating func take(_ key: Key) -> Connection? {
        guard let index = idle.lastIndex(where: { $0.key == key }) else { return nil }
        return idle.remove(at: index).connection
    }

    /// Keeps a connection that has finished its exchange.
    /// - Returns: its number, by which ``remove(_:)`` knows it, and the connections to close for it.
    mutating func give(_ connection: Connection, for key: Key, now: Int64) -> (number: Int, closing: [Connection]) {
        newest += 1
        idle.append(Idle(key: key, connection: connection, since: now, number: newest))
        var closing: [Connection] = []
        while idle.lazy.filter({ $0.key == key }).count > bounds.perKey,
            let oldest = idle.firstIndex(where: { $0.key == key })
        {
            closing.append(idle.remove(at: oldest).connection)
        }
        while idle.count > bounds.total { closing.append(idle.removeFirst().connection) }
        return (newest, closing)
    }

    /// Forgets a connection that the server has closed.
    mutating func remove(_ number: Int) { idle.removeAll { $0.number == number } }

    /// Takes out what has been idle for too long.
    mutating func expire(now: Int64) -> [Connection] {
        let due = idle.prefix { now - $0.since >= bounds.idle }.map(\.connection)
        idle.removeFirst(due.count)
        return due
    }

    mutating func removeAll() -> [Connection] {
        defer { idle = [] }
        return idle.map(\.connection)
    }
}
