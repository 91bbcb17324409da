import ArgumentParser

/// `postern user …`: accounts, directly in the database. Works while the server runs.
struct UserCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user", abstract: "Manages accounts.",
        discussion: "Example: postern user add ana --state /var/lib/postern",
        subcommands: [
            UserAdd.self, UserList.self, UserDisable.self, UserEnable.self, UserRemove.self, UserSetPlan.self,
            UserReset.self,
        ])
}
