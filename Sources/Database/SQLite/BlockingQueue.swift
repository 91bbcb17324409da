import Glibc
import Synchronization

/// A bounded queue between callers that must not block and one or more waiting threads.
///
/// `@unchecked Sendable`: `items` and `closed` are touched only while `mutex` is held, and the two pointers are never
/// reassigned.
final class BlockingQueue<Element: Sendable>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let capacity: Int
    private var items: [Element] = []
    private var closed = false

    /// - Parameter capacity: maximum number of queued elements.
    init(capacity: Int) {
        self.capacity = capacity
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Returns false if the queue is full or closed.
    func push(_ element: Element) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard !closed, items.count < capacity else { return false }
        items.append(element)
        pthread_cond_signal(condition)
        return true
    }

    /// Waits for at least one element. The result is empty only if the queue is closed and drained.
    func take(upTo most: Int) -> [Element] {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while items.isEmpty && !closed { pthread_cond_wait(condition, mutex) }
        let taken = Array(items.prefix(most))
        items.removeFirst(taken.count)
        return taken
    }

    func close() {
        pthread_mutex_lock(mutex)
        closed = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }
}

/// A thread that runs one closure. Any number of callers can wait for it, any number of times.
final class WorkerThread: Sendable {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Nil once the thread was joined: its number may then belong to another thread, which a second join would wait
    /// for.
    private let thread: Mutex<pthread_t?>

    /// - Parameter name: at most 15 bytes, as shown by debuggers and `top -H`.
    init(name: String, _ run: @escaping @Sendable () -> Void) throws {
        var started = pthread_t()
        let body = Unmanaged.passRetained(
            Body {
                Self.call(name)
                run()
            })
        let result = pthread_create(
            &started, nil,
            { argument in
                // The argument is always the retained Body passed below.
                argument.map { Unmanaged<Body>.fromOpaque($0).takeRetainedValue().run() }
                return nil
            }, body.toOpaque())
        guard result == 0 else {
            body.release()
            throw StorageError(.unavailable, "cannot start a thread (error \(result)); raise the process limit")
        }
        thread = Mutex(started)
    }

    /// The name is for people. If /proc is hidden, the thread has no name.
    private static func call(_ name: String) {
        let descriptor = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = write(descriptor, name, name.utf8.count)
        close(descriptor)
    }

    /// Waits for the end of the closure. Do not call this from the closure.
    func join() {
        thread.withLock { thread in
            if let running = thread { pthread_join(running, nil) }
            thread = nil
        }
    }

    deinit {
        // Nobody waits for the thread, so the system frees its resources when it ends.
        if let running = thread.withLock({ $0 }) { pthread_detach(running) }
    }
}
