import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The pages of an account's second factor.
struct SecondFactorPages: Sendable {
    let management: CredentialOperations

    func add(to routes: Routes) {
        let path = "/account/second-factor"
        routes.page(.get, path, for: .account, use: secondFactor)
        routes.page(.post, path, for: .account, in: secondFactor, use: begin)
        routes.page(.post, "\(path)/confirm", for: .account, in: secondFactor, use: confirm)
        routes.page(.post, "\(path)/recovery-codes", for: .account, in: secondFactor, use: renewRecoveryCodes)
        routes.page(.post, "\(path)/off", for: .account, in: secondFactor, use: turnOff)
    }

    @Sendable private func secondFactor(_ page: PageRequest) async throws -> Response {
        let factor = try await management.secondFactor(of: page.caller)
        if factor.isOn { return page.page("Second factor", isOn(page, codesLeft: factor.recoveryCodesLeft)) }
        guard let seed = try await management.pendingSeed(of: page.caller) else {
            return page.page(
                "Second factor",
                Panel.empty(
                    "It is off",
                    """
                    <p>With a second factor, a stolen password is not enough: an authenticator app on your phone shows a new code
                    every 30 seconds.</p>\(Action("/account/second-factor", "Set it up", page.token, isMain: true).html)
                    """))
        }
        let host = page.context.host(page.request)
        return page.page(
            "Second factor",
            seedBody(SeedResource(seed: seed, username: page.caller.user.username, host: host), page))
    }

    private func isOn(_ page: PageRequest, codesLeft: Int) -> HTML {
        func code(_ form: FormView, _ id: String) -> HTML {
            form.text("code", "Current code", autocomplete: "one-time-code", more: "inputmode=\"numeric\"", id: id)
        }
        let renew = page.form("/account/second-factor/recovery-codes")
        let off = page.form("/account/second-factor/off")
        return Panel.html(
            nil,
            """
            <p>\(Badge.html("on", .ok)) \(codesLeft) of \(SecondFactor.recoveryCodeCount) recovery codes are left.</p>
            """)
            + Panel.columns([
                Panel.html("New recovery codes", renew.html("Make new codes", code(renew, "renew-code"))),
                Panel.html("Turn it off", off.html("Turn it off", isDanger: true, code(off, "off-code"))),
            ])
    }

    private func seedBody(_ seed: SeedResource, _ page: PageRequest) -> HTML {
        let groups = stride(from: 0, to: seed.secret.count, by: 4).map { start in
            String(seed.secret.dropFirst(start).prefix(4))
        }.joined(separator: " ")
        let form = page.form("/account/second-factor/confirm")
        let code = form.text(
            "code", "The code that the app shows now", autocomplete: "one-time-code",
            more: "inputmode=\"numeric\" autofocus")
        return Panel.columns([
            Panel.html(
                "1. Give it to the app",
                """
                <p>Point the camera of your authenticator app at this:</p>\(QRCode.html(seed.uri, label: "QR code of the key below"))
                <p>Or type this key (time-based, six digits):</p>\(Copyable.html(groups))
                <p>Is the app on this device? <a href="\(seed.uri)">Open it</a>.</p>
                """),
            Panel.html("2. Show that it works", form.html("Turn it on", code)),
        ])
    }

    @Sendable private func begin(_ page: PageRequest) async throws -> Response {
        _ = try await management.beginSecondFactor(of: page.caller)
        return .redirect(to: "/account/second-factor", type: .normal)
    }

    @Sendable private func confirm(_ page: PageRequest) async throws -> Response {
        shown(page, try await management.confirm(try page.form.require("code"), of: page.caller))
    }

    @Sendable private func renewRecoveryCodes(_ page: PageRequest) async throws -> Response {
        shown(page, try await management.renewRecoveryCodes(try page.form.require("code"), of: page.caller))
    }

    private func shown(_ page: PageRequest, _ codes: [String]) -> Response {
        page.page(
            "Recovery codes",
            Panel.html(
                nil,
                """
                <p>Keep these where you keep passwords. Each works once, when the app is lost. They are shown only now.</p>
                \(Copyable.html(codes.joined(separator: "\n")))<p><a class="button" href="/account">I have them</a></p>
                """))
    }

    @Sendable private func turnOff(_ page: PageRequest) async throws -> Response {
        try await management.turnSecondFactorOff(try page.form.require("code"), of: page.caller)
        return page.back(to: "/account", "The second factor is off.")
    }
}
