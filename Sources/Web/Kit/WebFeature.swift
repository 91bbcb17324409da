import Database
import Storage
import Telemetry

/// What one feature adds to the server's HTTP interface. ``all`` is the only list of features.
struct WebFeature: Sendable {
    /// The feature's name, as listed in ARCHITECTURE.md.
    let name: String
    /// Ordered by feature, and within a feature in this order.
    var navigation: [NavigationLink] = []
    /// The data in an organisation's export.
    var exports: [ExportPart] = []
    /// Adds the feature's samples to `/metrics`.
    var metrics: @Sendable (WebServices, inout Exposition) -> Void = { _, _ in }
    /// Adds the feature's routes and pages.
    let routes: @Sendable (WebServices, Routes) -> Void
}

/// One kind of row in an organisation's export. Read in pages, so that memory use does not depend on its size.
struct ExportPart: Sendable {
    /// The `kind` of each line.
    let kind: String
    /// Reads one page.
    /// - Parameter after: the end of the previous page. Empty for the first page.
    /// - Returns: nil at the end.
    let page: @Sendable (_ after: String, TenantScope) throws -> Page?

    struct Page {
        let values: [any Encodable]
        /// The start of the next page. Nil if there is none.
        let next: String?
    }
}
