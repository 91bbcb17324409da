/// Which idle connections are kept for the next request: a pure rule, without sockets or a clock.
struct ConnectionPool<Key: Hashable, Connection> {
    struct Bounds {
        /// Maximum number of idle connections to one endpoint. Only a burst opens more, and they are closed after it.
        var perKey = 4
        /// Maximum number of idle connections to all endpoints together.
        var total = 32
        /// How long a connection may stay idle, in nanoseconds: less than servers commonly allow (nginx 75 s). If a
        /// server allows less, the request is retried.
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

    /// The most recently used connection, so that the others can expire.
    mutating func take(_ key: Key) -> Connection? {
        guard let index = idle.lastIndex(where: { $0.key == key }) else { return nil }
        return idle.remove(at: index).connection
    }

    /// Keeps a connection that has finished its exchange.
    /// - Returns: its number for ``remove(_:)``, and the connections to close in its place.
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

    /// Removes connections that were idle for too long.
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
