extension StorageFeature {
    /// Keys that seal and sign.
    static let keys = StorageFeature(name: "keys", tenantTables: ["data_keys"])
}
