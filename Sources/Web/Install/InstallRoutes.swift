import CInstallFiles
import Glibc
import HTTPTypes
import Hummingbird
import Limits
import NIOCore
import NIOPosix
import Operations
import Storage

/// `/install.sh` and the programs that it downloads: a machine gets this server's own program and verifies it.
struct InstallRoutes: Sendable {
    let programs: InstallPrograms
    /// The public address of the server. Nil if its owner has not set it.
    let publicURL: String?
    /// The number of downloads that one address may start in a minute: enough for a rollout behind one router. Separate
    /// from the limit for sign-ins.
    private let limiter = RateLimiter(perMinute: 60)

    func add(to routes: Routes) {
        routes.openPage(.get, "/install.sh", limit: .none, use: script)
        routes.openPage(.get, "/install.ps1", limit: .none) { _, _ in
            .text(
                "Write-Error 'Postern has no program for Windows yet; there are builds for Linux on amd64 and arm64. "
                    + "Use this server in a browser, or install.sh in WSL.'\n")
        }
        routes.openPage(.get, "/install/:program", limit: .none, use: program)
    }

    @Sendable private func script(_ request: Request, _ context: WebContext) async throws -> Response {
        try take(context)
        guard let url = publicURL ?? request.ownURL else {
            throw APIError.badRequest("the Host header is missing or invalid; use the server's address")
        }
        var sums = ""
        for platform in InstallPrograms.platforms {
            if let program = await programs.program(platform) {
                sums += "        \(platform)) sum=\(program.digest) ;;\n"
            }
        }
        let text = Self.text(postern_install_script())
            .replacing("@URL@", with: url).replacing("@SUMS@", with: sums)
            .replacing("@SETTINGS@", with: Self.text(postern_agent_settings()))
            .replacing("@UNIT@", with: Self.text(postern_agent_unit()))
        return .text(text, type: "text/x-shellscript; charset=utf-8")
    }

    private func take(_ context: WebContext) throws {
        if let wait = limiter.take(context.address) { throw Refusal.rateLimited(retryAfter: wait) }
    }

    private static func text(_ file: postern_install_file) -> String {
        String(decoding: UnsafeBufferPointer(start: file.bytes, count: file.count), as: UTF8.self)
    }

    @Sendable private func program(_ request: Request, _ context: WebContext) async throws -> Response {
        try take(context)
        let name = try context.parameters.require("program")
        guard name.hasPrefix("postern-"), let found = await programs.program(String(name.dropFirst("postern-".count)))
        else { throw APIError.notFound }
        let body = ResponseBody(contentLength: found.size) { writer in
            try await Self.send(found, to: &writer)
            try await writer.finish(nil)
        }
        return Response(
            status: .ok,
            headers: [
                .contentType: "application/octet-stream", .cacheControl: "no-cache", .eTag: "\"\(found.digest)\"",
            ],
            body: body)
    }

    /// Sends one piece at a time. Pieces are read on a thread that may block.
    private static func send(_ program: InstallPrograms.Program, to writer: inout any ResponseBodyWriter) async throws {
        let descriptor = open(program.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw APIError.notFound }
        defer { close(descriptor) }
        var offset = 0
        while offset < program.size {
            let (start, count) = (offset, min(InstallPrograms.pieceBytes, program.size - offset))
            let piece = try await NIOThreadPool.singleton.runIfActive { () -> ByteBuffer in
                var buffer = ByteBufferAllocator().buffer(capacity: count)
                buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
                    max(0, pread(descriptor, target.baseAddress, count, off_t(start)))
                }
                return buffer
            }
            // If the program became shorter, the download must not look complete.
            guard piece.readableBytes > 0 else { throw ChannelError.eof }
            offset += piece.readableBytes
            try await writer.write(piece)
        }
    }
}

extension Response {
    fileprivate static func text(_ text: String, type: String = "text/plain; charset=utf-8") -> Response {
        Response(
            status: .ok, headers: [.contentType: type, .cacheControl: "no-cache"],
            body: .init(byteBuffer: ByteBuffer(string: text)))
    }
}

extension WebFeature {
    /// The server's program for other machines.
    static let install = WebFeature(
        name: "install",
        routes: { services, routes in
            InstallRoutes(
                programs: InstallPrograms(stateDirectory: services.parts.stateDirectory),
                publicURL: services.configuration.accounts.publicURL
            ).add(to: routes)
        })
}
