import FoundationEssentials
import Model
import NIOCore
import Outbound

extension Connector {
    /// How the command line reaches its appliance: through the proxy that the environment names, if it does.
    /// - Throws: ``ClientError`` when the environment names a proxy that cannot be read.
    static func ofEnvironment(
        on group: any EventLoopGroup, connectTimeout: TimeAmount = Connector.connectTimeout
    ) throws -> Connector {
        do {
            let proxy = try Proxy.environment(ProcessInfo.processInfo.environment)
            return Connector(group: group, proxy: proxy, connectTimeout: connectTimeout)
        } catch let problem as ProxyProblem { throw ClientError("\(problem)") }
    }
}
