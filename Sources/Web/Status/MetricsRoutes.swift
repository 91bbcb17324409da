import HTTPTypes
import Hummingbird
import NIOCore
import Operations
import Storage
import Telemetry

/// `/metrics`: Prometheus text, for programs on this machine and for administrators.
struct MetricsRoutes: Sendable {
    let services: WebServices

    func add(to routes: Routes) {
        routes.open(
            .get, "/metrics", limit: .none,
            about: RouteText(
                "Prometheus metrics; only for local requests and administrators",
                .text("text/plain", "Text, version 0.0.4."), isBearerOptional: true)
        ) { request, context in
            if !context.isLoopback {
                try await services.authenticator.caller(of: request, context).requireAdministrator()
            }
            return Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: .init(byteBuffer: ByteBuffer(string: text())))
        }
    }

    private func text() -> String {
        var out = Exposition()
        for feature in WebFeature.all { feature.metrics(services, &out) }
        return out.text
    }
}
