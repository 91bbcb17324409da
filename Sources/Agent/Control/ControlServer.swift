import Client
import Glibc
import Model
public import NIOCore
import NIOPosix
import Wire

/// Answers requests of this machine's command line.
public enum ControlServer {
    /// - Parameter path: of the socket. The permissions of its directory control who may connect.
    /// - Returns: the listening socket, or NIO's errors.
    public static func listen(_ path: String, for runner: AgentRunner) -> EventLoopFuture<any Channel> {
        let bound = NIOLoopBound(runner, eventLoop: runner.loop)
        return ServerBootstrap(group: runner.loop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ControlHandler(bound.value))
                }
            }
            .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true)
    }
}

/// Handles one request and its answer.
private final class ControlHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Maximum size of a request, in bytes.
    private static let limit = 4096

    private let runner: AgentRunner
    private var question = ByteBuffer()
    private var isAsked = false

    init(_ runner: AgentRunner) { self.runner = runner }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isAsked else { return }
        question.writeImmutableBuffer(unwrapInboundIn(data))
        guard let end = question.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) else {
            if question.readableBytes > Self.limit { context.close(promise: nil) }
            return
        }
        isAsked = true
        let line = question.readSlice(length: end - question.readerIndex) ?? ByteBuffer()
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        let answered: EventLoopFuture<ControlAnswer>
        do { answered = runner.answer(try JSONText.decode(ControlRequest.self, from: line)) } catch {
            answered = context.eventLoop.makeSucceededFuture(
                ControlAnswer(error: "the agent does not know this request; is it a different version?"))
        }
        answered.whenSuccess { answer in
            var out = JSONText.encode(answer)
            out.writeInteger(UInt8(ascii: "\n"))
            let context = bound.value
            context.writeAndFlush(NIOAny(out)).whenComplete { _ in bound.value.close(promise: nil) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Sends requests to the agent of this machine.
public enum ControlClient {
    /// Maximum size of an answer, in bytes: a thousand tunnels.
    private static let limit = 1 << 20
    /// The agent waits for the server at most three times 15 s.
    private static let timeout = TimeAmount.seconds(60)

    /// - Returns: nil if no agent runs.
    /// - Throws: ``ClientError``.
    public static func ask(_ verb: ControlRequest.Verb, at path: String) async throws -> ControlAnswer? {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: ByteBuffer.self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(AnswerHandler(promise, limit: limit))
                    }
                }
                .connect(unixDomainSocketPath: path).get()
        } catch let error as IOError where [ENOENT, ECONNREFUSED].contains(error.errnoCode) {
            promise.fail(error)
            return nil
        } catch {
            promise.fail(error)
            throw ClientError("cannot reach the agent at \(path): \(describe(error)); run this with sudo")
        }
        let deadline = loop.scheduleTask(in: timeout) {
            promise.fail(ClientError("the agent does not respond", status: .tryAgain))
        }
        defer { deadline.cancel() }
        var question = JSONText.encode(ControlRequest(verb))
        question.writeInteger(UInt8(ascii: "\n"))
        channel.writeAndFlush(question, promise: nil)
        defer { channel.close(promise: nil) }
        let answer = try JSONText.decode(ControlAnswer.self, from: try await promise.futureResult.get())
        if let error = answer.error { throw ClientError("\(error)") }
        return answer
    }
}

private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let promise: EventLoopPromise<ByteBuffer>
    private let limit: Int
    private var answer = ByteBuffer()

    init(_ promise: EventLoopPromise<ByteBuffer>, limit: Int) {
        self.promise = promise
        self.limit = limit
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        answer.writeImmutableBuffer(unwrapInboundIn(data))
        guard answer.readableBytesView.last == UInt8(ascii: "\n") else {
            if answer.readableBytes > limit { promise.fail(ClientError("the agent's response is too long")) }
            return
        }
        promise.succeed(answer)
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(ClientError("the agent has stopped", status: .tryAgain))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { promise.fail(error) }
}
