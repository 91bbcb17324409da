import CDocumentFiles
import Model
import NIOCore

/// The documentation: pages of `docs/` as HTML, their pictures, and their sections for the search. Compiled into the
/// binary (`scripts/documents`).
struct DocumentFiles: Sendable {
    static let all = DocumentFiles()

    /// A heading of a page with the text below it.
    struct Section: Sendable {
        let page, anchor, pageTitle, heading, text: String
        /// In lower case, for the search.
        fileprivate let words: String
    }

    private let contents: [String: ByteBuffer]
    let sections: [Section]
    /// Each page's title, by name.
    let titles: [String: String]

    private init() {
        let files = (0..<postern_document_file_count()).map { index in
            let file = postern_document_file(index)
            let name = String(cString: file.name)
            let packed = ByteBuffer(bytes: UnsafeRawBufferPointer(start: file.packed, count: file.packed_count))
            guard let content = Gzip.unpacked(packed) else { preconditionFailure("\(name) is damaged in the binary") }
            return (name, content)
        }
        contents = Dictionary(files) { first, _ in first }
        let index = contents["sections.tsv"].map { String(buffer: $0) } ?? ""
        sections = index.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 5 else { return nil }
            return Section(
                page: parts[0], anchor: parts[1], pageTitle: parts[2], heading: parts[3], text: parts[4],
                words: "\(parts[2]) \(parts[3]) \(parts[4])".lowercased())
        }
        titles = Dictionary(sections.map { ($0.page, $0.pageTitle) }) { first, _ in first }
    }

    /// The HTML of a page.
    func page(_ name: String) -> HTML? {
        // The build created it from our own pages, and drops markup in them.
        contents["\(name).html"].map { HTML(trusted: String(buffer: $0)) }
    }

    /// A picture, with its type.
    func picture(_ name: String) -> (ByteBuffer, contentType: String)? {
        let type = name.hasSuffix(".png") ? "image/png" : name.hasSuffix(".svg") ? "image/svg+xml" : nil
        guard let type, let content = contents[name] else { return nil }
        return (content, type)
    }

    /// Sections that contain all of the words, best first. A word in a heading counts more than a word in the text.
    /// - Parameter limit: the maximum number of sections.
    func search(_ text: String, limit: Int = 20) -> [Section] {
        let words = text.lowercased().split { !$0.isLetter && !$0.isNumber && $0 != "-" && $0 != "_" }
        if words.isEmpty { return [] }
        let found = sections.enumerated().compactMap { index, section -> (Int, Int, Section)? in
            guard words.allSatisfy({ section.words.contains($0) }) else { return nil }
            let (heading, title) = (section.heading.lowercased(), section.pageTitle.lowercased())
            let inHeading = words.count { heading.contains($0) }
            let inTitle = words.count { title.contains($0) }
            // The beginning of a page about the topic is the best result.
            let isPage = heading == title && inTitle > 0 ? 3 : 0
            return (2 * inHeading + 2 * inTitle + isPage, -index, section)
        }
        return found.sorted { ($0.0, $0.1) > ($1.0, $1.1) }.prefix(limit).map(\.2)
    }
}
