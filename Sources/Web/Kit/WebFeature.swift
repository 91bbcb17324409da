import Database
import Storage
import Telemetry

/// What one capability adds to the server's HTTP side. ``all`` is the only list of them.
struct WebFeature: Sendable {
    /// The capability's word, as ARCHITECTURE.md lists it.
    let name: String
    /// In the order of the features, and in each in this order.
    var navigation: [NavigationLink] = []
    /// What an organisation takes along in its export.
    var exports: [ExportPart] = []
    /// Adds the feature's samples to `/metrics`.
    var metrics: @Sendable (WebServices, inout Exposition) -> Void = { _, _ in }
    /// Adds the feature's routes and pages.
    let routes: @Sendable (WebServices, Routes) -> Void
}

/// One kind of row in an organisation's export, read in pages so that its size costs no memory.
struct ExportPart: Sendable {
    /// Each line's `kind`.
    let kind: String
    /// Reads one page.
    /// - Parameter after: where the page before ended; empty for the first.
    /// - Returns: nil at the end.
    let page: @Sendable (_ after: String, TenantScope) throws -> Page?

    struct Page {
        let values: [any Encodable]
        /// Where the next page begins; nil where there is none.
        let next: String?
    }
}
