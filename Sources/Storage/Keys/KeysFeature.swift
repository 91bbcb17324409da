extension StorageFeature {
    /// What seals and signs.
    static let keys = StorageFeature(name: "keys", tenantTables: ["data_keys"])
}
