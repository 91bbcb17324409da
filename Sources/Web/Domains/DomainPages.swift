import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The pages of an organisation's domains.
struct DomainPages: Sendable {
    let domains: DomainOperations
    let tunnels: TunnelOperations
    let resources: DomainResources

    func add(to routes: Routes) {
        let path = "/organisation/domains"
        routes.page(.get, path, for: .member(.domainRead), use: list)
        routes.page(.post, path, for: .member(.domainManage), in: list, use: add)
        routes.page(.get, "\(path)/:id", for: .member(.domainRead), use: show)
        for (verb, use) in [("verify", verify), ("route", route), ("remove", remove)] as [(String, Routes.PageHandler)]
        {
            routes.page(.post, "\(path)/:id/\(verb)", for: .member(.domainManage), in: show, use: use)
        }
        routes.page(.get, "/administration/domains", for: .administrator, use: listEverywhere)
    }

    // MARK: Looking

    @Sendable private func list(_ page: PageRequest) async throws -> Response {
        let all = try await domains.list(by: page.caller).map { resources.resource($0, page.request) }
        let form = page.form("/organisation/domains")
        let adding =
            page.may(.domainManage)
            ? Panel.html(
                "Add a domain",
                form.html(
                    "Add",
                    form.text("name", "Host name", hint: "For example: app.example.org", more: "maxlength=\"253\"")))
            : ""
        guard !all.isEmpty else {
            return page.page(
                "Domains",
                Panel.empty(
                    "No domains yet",
                    """
                    <p>Use your own host name, such as <code>app.example.org</code>, for one of your tunnels. You set two DNS
                    records, and this server obtains the certificate. <a href="/docs/domains">How domains work</a></p>
                    """) + adding)
        }
        let rows = all.map { one -> [HTML] in
            [
                "<a href=\"/organisation/domains/\(one.id)\">\(one.name)</a>", Self.badge(one.state),
                "\(one.tunnel ?? "")",
                Self.certificate(one),
            ]
        }
        let table = Table("Domains", ["Name", .short("State"), "Tunnel", "Certificate"], rows)
        return page.page("Domains", Panel.html(nil, table.html) + adding)
    }

    private static func badge(_ state: String) -> HTML {
        switch state {
        case "routed": Badge.html("routed", .ok)
        case "verified": Badge.html("verified, no tunnel")
        case "paused": Badge.html("paused: the TXT record is missing", .bad)
        default: Badge.html("not verified", .warning)
        }
    }

    private static func certificate(_ one: DomainResource) -> HTML {
        if one.tlsMode == "passthrough" { return "managed by the machine" }
        switch one.tlsStatus {
        case "issued":
            return "\(Badge.html("issued", .ok)) until \(one.tlsNotAfter.map { String($0.prefix(10)) } ?? "")"
        case "ordering": return Badge.html("being requested")
        case "failed": return "\(Badge.html("failed", .bad)) \(one.tlsLastError ?? "")"
        default: return one.tunnel == nil ? "" : Badge.html("self-signed", .warning)
        }
    }

    @Sendable private func show(_ page: PageRequest) async throws -> Response {
        try await show(page, problems: [])
    }

    private func show(_ page: PageRequest, problems: [String]) async throws -> Response {
        let found = try await domains.show(try page.context.parameters.require("id"), by: page.caller)
        let one = resources.resource(found, page.request)
        let path = "/organisation/domains/\(one.id)"
        let left: HTML =
            problems.isEmpty
            ? "" : Panel.notice("<ul>\(problems.map { "<li>\($0)</li>" as HTML }.joined())</ul>", .warning)
        let records = one.records.map { record -> [HTML] in
            ["\(record.type)", "<code>\(record.name)</code>", Copyable.html(record.value)]
        }
        var facts: [(String, HTML)] = [("State", Self.badge(one.state)), ("Certificate", Self.certificate(one))]
        if let tunnel = one.tunnel { facts.append(("Tunnel", "\(tunnel) (\(one.tlsMode ?? ""))")) }
        facts.append(("Last checked", TimeText.html(found.domain.checkedAt, missing: "never")))
        let verify =
            page.may(.domainManage) ? Action("\(path)/verify", "Verify now", page.token, isMain: true).html : ""
        return page.page(
            one.name,
            left + Panel.html(nil, Panel.facts(facts) + "<br>" + verify)
                + Panel.html(
                    "DNS records to set",
                    Table("DNS records", [.short("Type"), "Name", "Value"], records).html
                        + """
                        <p class="small">A zone apex, such as example.org, cannot have a CNAME record: use A and AAAA records
                        with the addresses of \(resources.host(page.request)).</p>
                        """) + (page.may(.domainManage) ? try await changes(one, page) : "")
                + "<p><a class=\"button\" href=\"/organisation/domains\">All domains</a></p>")
    }

    private func changes(_ one: DomainResource, _ page: PageRequest) async throws -> HTML {
        let path = "/organisation/domains/\(one.id)"
        let open = try await tunnels.overview(by: page.caller).tunnels.compactMap { listed -> (String, String)? in
            guard listed.tunnel.kind != .tcp, let name = listed.tunnel.name else { return nil }
            return (name, "\(name) (\(listed.tunnel.kind == .tls ? "passthrough" : "termination"))")
        }
        let form = page.form("\(path)/route")
        let routing =
            one.state == "unverified"
            ? "<p>First verify the name: set the TXT record, then choose “Verify now”.</p>"
            : form.html(
                "Save", form.select("tunnel", "Tunnel", [("", "none")] + open, chosen: one.tunnel ?? ""))
        return Panel.columns([
            Panel.html("Tunnel", routing),
            Panel.html(
                "Access",
                """
                <p>Who may use this name, and how its requests are limited and changed.</p>
                <p><a class="button" href="\(path)/access">Access rules</a></p>
                """),
            Panel.html(
                "Remove",
                Action("\(path)/remove", "Remove", page.token)
                    .asks(
                        "Visitors are refused from now on. The name stays reserved for your organisation for 90 days if it was verified."
                    )),
        ])
    }

    // MARK: Changing

    @Sendable private func add(_ page: PageRequest) async throws -> Response {
        let made = try await domains.add(
            try page.form.require("name"), own: resources.ownNames, by: page.caller)
        return page.back(
            to: "/organisation/domains/\(made.domain.id)", "Added. Set the two DNS records, then choose “Verify now”.")
    }

    @Sendable private func verify(_ page: PageRequest) async throws -> Response {
        let (found, problems) = try await domains.verify(try page.context.parameters.require("id"), by: page.caller)
        if problems.isEmpty {
            return page.back(to: "/organisation/domains/\(found.domain.id)", "All DNS records are correct.")
        }
        return try await show(page, problems: problems)
    }

    @Sendable private func route(_ page: PageRequest) async throws -> Response {
        let routed = try await domains.route(
            try page.context.parameters.require("id"), to: page.form["tunnel"], passesThrough: nil, by: page.caller)
        return page.back(
            to: "/organisation/domains/\(routed.domain.id)",
            routed.tunnel.map { "It now points to \($0.name ?? "")." } ?? "It no longer points to a tunnel.")
    }

    @Sendable private func remove(_ page: PageRequest) async throws -> Response {
        try await domains.remove(try page.context.parameters.require("id"), by: page.caller)
        return page.back(to: "/organisation/domains", "The domain is removed.")
    }

    // MARK: Everybody's

    @Sendable private func listEverywhere(_ page: PageRequest) async throws -> Response {
        let rows = try await domains.listEverywhere(by: page.caller).map { listed, organisation -> [HTML] in
            let one = resources.resource(listed, page.request)
            return [
                "\(one.name)", "\(organisation)", Self.badge(one.state), "\(one.tunnel ?? "")", Self.certificate(one),
            ]
        }
        let table = Table(
            "Domains of all organisations", ["Name", "Organisation", .short("State"), "Tunnel", "Certificate"], rows,
            empty: "<p class=\"muted\">No domains have been added yet.</p>")
        return page.page("All domains", Panel.html(nil, table.html))
    }
}
