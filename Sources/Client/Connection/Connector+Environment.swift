import FoundationEssentials
import Model
import NIOCore
import Outbound

extension Connector {
    /// The connector that the command line uses: through the proxy that the environment names, if any.
    /// - Throws: ``ClientError`` if the environment names an invalid proxy.
    static func ofEnvironment(
        on group: any EventLoopGroup, connectTimeout: TimeAmount = Connector.connectTimeout
    ) throws -> Connector {
        do {
            let proxy = try Proxy.environment(ProcessInfo.processInfo.environment)
            return Connector(group: group, proxy: proxy, connectTimeout: connectTimeout)
        } catch let problem as ProxyProblem { throw ClientError("\(problem)") }
    }
}
