// swift-tools-version: 6.2
// The target graph below is the law of the house: see ARCHITECTURE.md for what each room is for.
// `make build` passes --explicit-target-dependency-import-check error, so a room cannot import what is not listed here.

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
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        .systemLibrary(name: "CSQLite"),
        .systemLibrary(name: "COpenSSL"),
        .systemLibrary(name: "CSystemd"),
        .systemLibrary(name: "CYAML"),
        .target(name: "CPlatform"),

        .target(name: "Files", swiftSettings: strict),
        .target(name: "Telemetry", swiftSettings: strict),
        .target(
            name: "Storage",
            dependencies: ["CSQLite", "Files", "Telemetry", crypto],
            swiftSettings: strict
        ),
        .target(name: "Wire", dependencies: [nioCore], swiftSettings: strict),
        .target(name: "WebSocket", dependencies: [nioCore], swiftSettings: strict),
        .target(
            name: "Relay",
            dependencies: ["Wire", "WebSocket", "Telemetry", nioCore, crypto],
            swiftSettings: strict
        ),
        .target(name: "EndToEnd", dependencies: ["Wire", nioCore, crypto], swiftSettings: strict),
        .target(
            name: "TransportSecurity",
            dependencies: ["COpenSSL", "Files", nioCore, nioPosix, nioHTTP1, nioTLS, crypto, logging],
            swiftSettings: strict
        ),
        .target(
            name: "Identity",
            dependencies: [
                "COpenSSL", "TransportSecurity", nioCore, nioPosix, nioHTTP1, crypto,
                .product(name: "JWTKit", package: "jwt-kit"),
            ],
            swiftSettings: strict
        ),
        .target(name: "Terminal", swiftSettings: strict),
        .target(
            name: "Client",
            dependencies: [
                "Wire", "WebSocket", "EndToEnd", "Terminal", "CPlatform", "TransportSecurity",
                nioCore, nioPosix, nioHTTP1, nioWebSocket, unixSignals,
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Web",
            dependencies: [
                "Storage", "Wire", "Relay", "TransportSecurity", "Telemetry", "Identity",
                nioCore, nioPosix, nioHTTP1, nioWebSocket, crypto, logging, lifecycle,
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
                .product(name: "JWTKit", package: "jwt-kit"),
            ],
            resources: [.embedInCode("OpenAPI/openapi.json")],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "Appliance",
            dependencies: [
                "Storage", "Wire", "Relay", "Web", "Identity", "Client", "CPlatform", "Files", "Telemetry", "COpenSSL",
                "CSystemd", "CYAML",
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

        .testTarget(name: "StorageTests", dependencies: ["Storage", "CSQLite", "TestSupport"], swiftSettings: strict),
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
            name: "WebTests",
            dependencies: [
                "Web", "Storage", "Telemetry", "TransportSecurity", "Identity", "TestSupport", nioCore, nioEmbedded,
                nioPosix,
                nioHTTP1, logging,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "TransportSecurityTests",
            dependencies: ["TransportSecurity", "COpenSSL", nioCore, nioPosix, nioEmbedded, nioTLS],
            swiftSettings: strict),
        .testTarget(name: "TelemetryTests", dependencies: ["Telemetry", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "IdentityTests", dependencies: ["Identity", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "TerminalTests", dependencies: ["Terminal"], swiftSettings: strict),
        .testTarget(
            name: "ResumeTests",
            dependencies: [
                "Client", "Relay", "EndToEnd", "Terminal", "WebSocket", "Wire", "Telemetry", nioCore, nioEmbedded,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "ClientTests",
            dependencies: ["Client", "EndToEnd", "Wire", "Relay", "Terminal", nioCore],
            swiftSettings: strict
        ),
    ]
)

// `make fuzz-deep` alone: libFuzzer brings its own `main`, and everything is built with its instrumentation.
if Context.environment["POSTERN_FUZZ"] != nil {
    package.products.append(.executable(name: "postern-fuzz", targets: ["Fuzz"]))
    package.targets.append(
        .executableTarget(
            name: "Fuzz", dependencies: ["WebSocket", "Wire", "Relay", "EndToEnd", "Terminal", nioCore],
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]))
}
