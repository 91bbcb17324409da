extension WebFeature {
    /// The API's description.
    static let openAPI = WebFeature(name: "openapi") { services, routes in
        OpenAPIRoutes(version: services.parts.version).add(to: routes)
    }
}
