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
                    "Not set up",
                    """
                    <p>With a second factor, a stolen password is not enough: an authenticator app on your phone shows a new code
                    every 30 seconds.</p>\(Action("/account/second-factor", "Set up", page.token, isMain: true).html)
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
                Panel.html("New recovery codes", renew.html("Create new codes", code(renew, "renew-code"))),
                Panel.html("Turn off", off.html("Turn off", isDanger: true, code(off, "off-code"))),
            ])
    }

    private func seedBody(_ seed: SeedResource, _ page: PageRequest) -> HTML {
        let groups = stride(from: 0, to: seed.secret.count, by: 4).map { start in
            String(seed.secret.dropFirst(start).prefix(4))
        }.joined(separator: " ")
        let form = page.form("/account/second-factor/confirm")
        let code = form.text(
            "code", "The current code from the app", autocomplete: "one-time-code",
            more: "inputmode=\"numeric\" autofocus")
        return Panel.columns([
            Panel.html(
                "1. Add the key to your app",
                """
                <p>Scan this code with your authenticator app:</p>\(QRCode.html(seed.uri, label: "QR code of the key below"))
                <p>Or enter this key (time-based, six digits):</p>\(Copyable.html(groups))
                <p>Is the app on this device? <a href="\(seed.uri)">Open it</a>.</p>
                """),
            Panel.html("2. Confirm with a code", form.html("Turn on", code)),
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
                <p>Store these with your passwords. Each can be used once if you lose the app. They are shown only once.</p>
                \(Copyable.html(codes.joined(separator: "\n")))<p><a class="button" href="/account">I have saved them</a></p>
                """))
    }

    @Sendable private func turnOff(_ page: PageRequest) async throws -> Response {
        try await management.turnSecondFactorOff(try page.form.require("code"), of: page.caller)
        return page.back(to: "/account", "The second factor is off.")
    }
}
