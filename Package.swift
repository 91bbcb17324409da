// swift-tools-version: 6.2
// The target graph: see ARCHITECTURE.md for what each target is for.
// `make build` passes --explicit-target-dependency-import-check error, so a target cannot import what is not listed here.

import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioWebSocket = Target.Dependency.product(name: "NIOWebSocket", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "postern",
    products: [
        .executable(name: "postern", targets: ["Appliance"]),
        .executable(name: "postern-bench", targets: ["RelayBench"]),
        .executable(name: "postern-echo", targets: ["WebSocketEcho"]),
    ],
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", exact: "5.7.1"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),

        // Packages that the ones above bring along. They are pinned so that two builds of one commit are the same bytes;
        // SwiftPM says that no target uses them, which is so.
        .package(url: "https://github.com/apple/swift-algorithms", exact: "1.2.1"),
        .package(url: "https://github.com/apple/swift-asn1", exact: "1.7.4"),
        .package(url: "https://github.com/apple/swift-async-algorithms", exact: "1.1.4"),
        .package(url: "https://github.com/apple/swift-atomics", exact: "1.3.0"),
        .package(url: "https://github.com/apple/swift-certificates", exact: "1.21.1"),
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
        .package(url: "https://github.com/apple/swift-configuration", exact: "1.4.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", exact: "1.7.3"),
        .package(url: "https://github.com/apple/swift-http-structured-headers", exact: "1.7.0"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio-http2", exact: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-transport-services", exact: "1.28.0"),
        .package(url: "https://github.com/apple/swift-numerics", exact: "1.1.1"),
        .package(url: "https://github.com/apple/swift-service-context", exact: "1.5.1"),
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
    ],
    targets: [
        .systemLibrary(name: "CSQLite"),
        .systemLibrary(name: "COpenSSL"),
        .systemLibrary(name: "CSystemd"),
        .systemLibrary(name: "CYAML"),
        .systemLibrary(name: "CQRCode"),
        .systemLibrary(name: "CZlib"),
        .target(name: "CDocumentFiles", exclude: ["generated"]),
        .target(name: "CBrowserFiles", exclude: ["generated"]),
        .target(name: "CInstallFiles"),
        .target(name: "CPlatform"),

        .target(name: "Model", swiftSettings: strict),
        .target(name: "Background", swiftSettings: strict),
        .target(name: "Files", swiftSettings: strict),
        .target(name: "Telemetry", dependencies: ["Model", nioCore, logging], swiftSettings: strict),
        .target(name: "Limits", dependencies: [nioCore], swiftSettings: strict),
        .target(name: "Database", dependencies: ["CSQLite", "Files", "Model", "Telemetry"], swiftSettings: strict),
        .target(
            name: "Storage",
            dependencies: ["Database", "Files", "Model", "Telemetry", crypto],
            swiftSettings: strict
        ),
        .target(name: "Wire", dependencies: ["Model", nioCore], swiftSettings: strict),
        .target(name: "WebSocket", dependencies: [nioCore], swiftSettings: strict),
        .target(
            name: "Relay",
            dependencies: ["Background", "Model", "Wire", "WebSocket", "Telemetry", nioCore, crypto],
            swiftSettings: strict
        ),
        .target(name: "HTTP1", dependencies: [nioCore], swiftSettings: strict),
        .target(name: "Link", dependencies: ["Model", "Wire", nioCore], swiftSettings: strict),
        .target(name: "EndToEnd", dependencies: ["Model", "Wire", nioCore, crypto], swiftSettings: strict),
        .target(
            name: "TransportSecurity",
            dependencies: ["COpenSSL", "Files", "Model", nioCore, nioPosix, nioTLS, crypto, logging],
            swiftSettings: strict
        ),
        .target(
            name: "Outbound",
            dependencies: ["Model", "TransportSecurity", nioCore, nioPosix, nioHTTP1], swiftSettings: strict),
        .target(
            name: "CertificateAuthorities",
            dependencies: [
                "COpenSSL", "Files", "Model", "Outbound", "TransportSecurity", nioCore, nioPosix, nioHTTP1, crypto,
                logging,
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Identity",
            dependencies: [
                "COpenSSL", "Model", "Outbound", "TransportSecurity", nioCore, nioHTTP1, crypto,
                .product(name: "JWTKit", package: "jwt-kit"),
            ],
            swiftSettings: strict
        ),
        .target(name: "Terminal", swiftSettings: strict),
        .target(
            name: "SessionHost", dependencies: ["EndToEnd", "Model", "Terminal", "Wire", nioCore], swiftSettings: strict
        ),
        .target(
            name: "Client",
            dependencies: [
                "Wire", "WebSocket", "HTTP1", "Link", "EndToEnd", "Model", "Outbound", "SessionHost", "Terminal",
                "CPlatform",
                "TransportSecurity",
                nioCore, nioPosix, nioHTTP1, nioTLS, nioWebSocket, unixSignals, crypto,
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Agent",
            dependencies: [
                "Client", "CYAML", "Files", "Link", "Model", "TransportSecurity", "Wire", nioCore, nioPosix, logging,
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Operations",
            dependencies: [
                "Background", "Database", "Storage", "Identity", "Limits", "Model", "Relay", "Telemetry", "Tunnels",
                "Link", "Wire",
                nioCore, crypto, logging, lifecycle,
                .product(name: "JWTKit", package: "jwt-kit"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Sockets",
            dependencies: [
                "Background", "Limits", "Telemetry", "TransportSecurity",
                nioCore, nioPosix, nioHTTP1, logging,
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Tunnels",
            dependencies: [
                "Background", "HTTP1", "Limits", "Link", "Model", "Sockets", "Telemetry", "TransportSecurity", "Wire",
                nioCore, nioPosix, crypto, logging,
                .product(name: "JWTKit", package: "jwt-kit"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Web",
            dependencies: [
                "Background", "CBrowserFiles", "CDocumentFiles", "CInstallFiles", "CQRCode", "CZlib", "Database",
                "Storage", "Operations", "Sockets",
                "Limits", "Wire",
                "Relay", "Tunnels", "WebSocket",
                "Model", "TransportSecurity", "Telemetry", "Identity", "CertificateAuthorities",
                nioCore, nioPosix, nioHTTP1, nioWebSocket, crypto, logging, lifecycle,
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "JWTKit", package: "jwt-kit"),
            ],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "Appliance",
            dependencies: [
                "Database", "Storage", "Operations", "Sockets", "Wire", "Relay", "Tunnels", "Web", "Identity", "Client",
                "Agent", "CPlatform", "Files",
                "Model",
                "Telemetry",
                "CertificateAuthorities", "COpenSSL", "CSQLite", "CSystemd", "CYAML", "Outbound",
                "TransportSecurity", nioCore, nioPosix, nioHTTP1, crypto, logging, lifecycle, unixSignals,
                argumentParser,
            ],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "RelayBench",
            dependencies: [
                "Wire", "WebSocket", "Client", "CPlatform", "TransportSecurity", nioCore, nioPosix, argumentParser,
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: strict
        ),

        .executableTarget(
            name: "WebSocketEcho", dependencies: ["WebSocket", nioCore, nioPosix, nioHTTP1, nioWebSocket],
            swiftSettings: strict
        ),

        .testTarget(
            name: "StorageTests", dependencies: ["Database", "Model", "Storage", "CSQLite", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "ApplianceTests", dependencies: ["Appliance", "Database", "Model", "Storage", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "AgentTests", dependencies: ["Agent", "Files", "Model", "Wire", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "BackgroundTests", dependencies: ["Background"], swiftSettings: strict),
        .testTarget(name: "ModelTests", dependencies: ["Model"], swiftSettings: strict),
        .testTarget(name: "LimitsTests", dependencies: ["Limits", "Telemetry", nioCore], swiftSettings: strict),
        .testTarget(name: "FilesTests", dependencies: ["Files", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "WebSocketTests", dependencies: ["WebSocket", nioCore], swiftSettings: strict),
        // What several suites of tests need.
        .target(name: "TestSupport", path: "Tests/Support", swiftSettings: strict),
        .testTarget(name: "WireTests", dependencies: ["Wire", "TestSupport", nioCore], swiftSettings: strict),
        .testTarget(
            name: "RelayTests", dependencies: ["Relay", "Wire", "WebSocket", nioCore, nioEmbedded],
            swiftSettings: strict),
        .testTarget(
            name: "EndToEndTests", dependencies: ["EndToEnd", "Wire", nioCore, crypto],
            resources: [.embedInCode("Vectors")],
            swiftSettings: strict),
        .testTarget(
            name: "SocketsTests", dependencies: ["Sockets", nioCore, nioEmbedded, nioHTTP1], swiftSettings: strict),
        .testTarget(
            name: "WebTests",
            dependencies: [
                "Web", "Database", "Limits", "Model", "Operations", "Storage", "Telemetry", "TransportSecurity",
                "Identity", "TestSupport",
                nioCore, nioEmbedded,
                nioPosix,
                nioHTTP1, logging,
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "TransportSecurityTests",
            dependencies: ["TransportSecurity", "COpenSSL", nioCore, nioPosix, nioEmbedded, nioTLS],
            swiftSettings: strict),
        .testTarget(
            name: "OutboundTests",
            dependencies: ["Outbound", "TransportSecurity", "TestSupport", nioCore, nioPosix, nioHTTP1],
            swiftSettings: strict),
        .testTarget(
            name: "CertificateAuthoritiesTests", dependencies: ["CertificateAuthorities", "TestSupport", nioCore],
            swiftSettings: strict),
        .testTarget(name: "LinkTests", dependencies: ["Link", "Wire", nioCore], swiftSettings: strict),
        .testTarget(name: "HTTP1Tests", dependencies: ["HTTP1", "TestSupport", nioCore], swiftSettings: strict),
        .testTarget(
            name: "TunnelsTests", dependencies: ["Tunnels", "HTTP1", "Limits", "Model", "Wire", nioCore, crypto],
            swiftSettings: strict),
        .testTarget(name: "TelemetryTests", dependencies: ["Telemetry", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "IdentityTests", dependencies: ["Identity", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "TerminalTests", dependencies: ["Terminal"], swiftSettings: strict),
        .testTarget(
            name: "ResumeTests",
            dependencies: [
                "Client", "Relay", "EndToEnd", "SessionHost", "Terminal", "WebSocket", "Wire", "Telemetry", nioCore,
                nioEmbedded,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "ClientTests",
            dependencies: ["Client", "EndToEnd", "Model", "SessionHost", "Wire", "Relay", "Terminal", nioCore],
            swiftSettings: strict
        ),
    ]
)

// `make fuzz-deep` alone: libFuzzer brings its own `main`, and everything is built with its instrumentation.
if Context.environment["POSTERN_FUZZ"] != nil {
    package.products.append(.executable(name: "postern-fuzz", targets: ["Fuzz"]))
    package.targets.append(
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                "CertificateAuthorities", "HTTP1", "Link", "WebSocket", "Wire", "Relay", "EndToEnd", "Terminal",
                nioCore,
            ],
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]))
}
