import Glibc
import Synchronization

/// The time for a `Date` header (RFC 9110, section 5.6.7), formatted once a second.
public enum DateHeader {
    private static let cache = Mutex<(second: Int, text: String)>((0, ""))

    public static var now: String {
        var now = time_t()
        time(&now)
        return cache.withLock { cache in
            if cache.second != now { cache = (now, text(of: now)) }
            return cache.text
        }
    }

    private static func text(of second: time_t) -> String {
        var second = second
        var parts = tm()
        gmtime_r(&second, &parts)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map(two).joined(separator: ":")
        return "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) "
            + "\(parts.tm_year + 1900) \(clock) GMT"
    }
}
