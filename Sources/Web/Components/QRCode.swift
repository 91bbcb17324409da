import CQRCode
import Model

/// A QR code as SVG, dark on white in every colour scheme, as cameras need it.
enum QRCode {
    /// The white margin in modules, as required by ISO/IEC 18004.
    private static let margin = 4

    /// - Parameters:
    ///   - text: at most 666 bytes. Longer text gives no code.
    ///   - label: a description for people who cannot see it.
    static func html(_ text: String, label: String) -> HTML {
        var code = [UInt8](repeating: 0, count: Int(postern_qr_bytes))
        var space = code
        guard
            qrcodegen_encodeText(
                text, &space, &code, qrcodegen_Ecc_MEDIUM, qrcodegen_VERSION_MIN, Int32(postern_qr_greatest),
                qrcodegen_Mask_AUTO, true)
        else { return "" }
        let size = Int(qrcodegen_getSize(code))
        var path = ""
        for y in 0..<size {
            for x in 0..<size where qrcodegen_getModule(code, Int32(x), Int32(y)) {
                path += "M\(x + margin) \(y + margin)h1v1h-1z"
            }
        }
        let whole = size + 2 * margin
        return """
            <svg class="qr" viewBox="0 0 \(whole) \(whole)" role="img" aria-label="\(label)" shape-rendering="crispEdges">\
            <path fill="#fff" d="M0 0h\(whole)v\(whole)H0z"/><path d="\(path)"/></svg>
            """
    }
}
