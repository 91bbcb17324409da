import NIOCore
import Testing

@testable import Outbound

/// What tenants name must not lead into the server's own networks.
@Suite struct PublicAddressesTests {
    @Test(arguments: [
        "8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "192.0.3.1", "2606:4700::1111", "2a00:1450::1",
    ])
    func publicOnesAreAllowed(text: String) throws {
        #expect(PublicAddresses.contains(try SocketAddress(ipAddress: text, port: 443)))
    }

    @Test(arguments: [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255",
        "192.168.1.1",
        "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
        "64:ff9b::7f00:1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "2002:7f00:1::1", "2001::1",
    ])
    func othersAreNot(text: String) throws {
        #expect(!PublicAddresses.contains(try SocketAddress(ipAddress: text, port: 443)))
    }
}
