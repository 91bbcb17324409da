import Crypto
import EndToEnd
import FoundationEssentials
import Testing

/// The vectors of draft-irtf-cfrg-cpace-21, suite CPace-X25519-SHA512.
private struct Vectors: Decodable {
    struct Generator: Decodable { let PRS_ascii, CI, sid, g: String }
    struct Exchange: Decodable { let ya, ADa_ascii, Ya, yb, ADb_ascii, Yb, K, ISK_initiator_responder: String }
    struct Verify: Decodable {
        struct Accepted: Decodable { let point, product: String }
        let scalar: String
        let must_be_rejected: [String]
        let accepted: [Accepted]
    }
    let generator: Generator
    let exchange: Exchange
    let scalar_mult_vfy: Verify

    static let draft: Vectors = {
        let data = Data(PackageResources.cpace_x25519_draft21_json)
        do { return try JSONDecoder().decode(Vectors.self, from: data) } catch {
            fatalError("the vectors do not parse: \(error)")
        }
    }()
}

private func bytes(_ hex: String) -> [UInt8] {
    let digits = Array(hex.utf8).map { UInt8(String(UnicodeScalar($0)), radix: 16) ?? 0 }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

@Suite struct CPaceTests {
    private let vectors = Vectors.draft

    private var generator: [UInt8] {
        CPace.generator(
            secret: Array(vectors.generator.PRS_ascii.utf8), channel: bytes(vectors.generator.CI),
            sessionId: bytes(vectors.generator.sid))
    }

    @Test func generatorIsTheDrafts() {
        #expect(generator == bytes(vectors.generator.g))
    }

    @Test func exchangeGivesTheDraftsKeyOnBothSides() throws {
        let exchange = vectors.exchange
        let a = try CPace.Share(generator: generator, scalar: bytes(exchange.ya))
        let b = try CPace.Share(generator: generator, scalar: bytes(exchange.yb))
        #expect(a.publicPoint == bytes(exchange.Ya))
        #expect(b.publicPoint == bytes(exchange.Yb))
        let (dataA, dataB) = (Array(exchange.ADa_ascii.utf8), Array(exchange.ADb_ascii.utf8))
        let sid = bytes(vectors.generator.sid)
        let keyA = try a.sessionKey(
            with: b.publicPoint, isInitiator: true, sessionId: sid, ownData: dataA, peerData: dataB)
        let keyB = try b.sessionKey(
            with: a.publicPoint, isInitiator: false, sessionId: sid, ownData: dataB, peerData: dataA)
        #expect(keyA == bytes(exchange.ISK_initiator_responder))
        #expect(keyB == keyA)
    }

    @Test func everyLowOrderPointIsRefused() throws {
        let scalar = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: bytes(vectors.scalar_mult_vfy.scalar))
        for point in vectors.scalar_mult_vfy.must_be_rejected {
            #expect(throws: EndToEndError.lowOrderPoint, "\(point)") { try CPace.multiply(scalar, bytes(point)) }
        }
    }

    @Test func unusualButValidPointsAreAccepted() throws {
        let scalar = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: bytes(vectors.scalar_mult_vfy.scalar))
        for vector in vectors.scalar_mult_vfy.accepted {
            #expect(try CPace.multiply(scalar, bytes(vector.point)) == bytes(vector.product))
        }
    }
}
