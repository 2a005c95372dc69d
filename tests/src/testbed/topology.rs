//! Who is there, how fast, and who calls whom.

use super::latency::Latency;

/// One call of one service to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Name of the destination: authority of the request and Envoy cluster.
    pub to: String,
    /// What is asked of it.
    pub path: String,
    /// Over HTTP/2 as a unary gRPC call; then `path` is `/package.Service/Method`.
    pub grpc: bool,
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSpec {
    /// Workload, cluster and authority.
    pub name: String,
    /// Its own time, before it calls others.
    pub latency: Latency,
    /// Stages one after the other; calls of one stage in parallel. All must answer.
    pub stages: Vec<Vec<Call>>,
    /// Destinations its sidecar can reach beside those it calls: alternates.
    pub reaches: Vec<String>,
}

/// All services; the first is where the edge sends requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// In any order but for the first.
    pub services: Vec<ServiceSpec>,
    /// Answers of these count as an alternate's in the load's account.
    pub alternates: Vec<String>,
}

impl Call {
    /// `path` of `to` over HTTP, with the method and body of the request that caused it.
    pub fn http(to: &str, path: &str) -> Self {
        Self { to: to.to_owned(), path: path.to_owned(), grpc: false }
    }

    /// A unary call of `package.Service/Method`.
    pub fn grpc(to: &str, method: &str) -> Self {
        Self { to: to.to_owned(), path: format!("/{method}"), grpc: true }
    }
}

impl ServiceSpec {
    /// A service that calls nobody.
    pub fn leaf(name: &str, latency: Latency) -> Self {
        Self { name: name.to_owned(), latency, stages: Vec::new(), reaches: Vec::new() }
    }

    /// Adds a stage: these calls in parallel, after the stages before.
    #[must_use]
    pub fn then(mut self, calls: Vec<Call>) -> Self {
        self.stages.push(calls);
        self
    }

    /// Lets its sidecar reach an alternate.
    #[must_use]
    pub fn reaching(mut self, name: &str) -> Self {
        self.reaches.push(name.to_owned());
        self
    }

    /// Names of all destinations of its sidecar, each once, in the order of first mention.
    pub fn destinations(&self) -> Vec<String> {
        let called = self.stages.iter().flatten().map(|c| &c.to);
        let mut names: Vec<String> = Vec::new();
        for name in called.chain(&self.reaches) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

impl Topology {
    /// The paper's checkout: front, then cart (by gRPC) and pricing in parallel, then paya, with payb as its alternate.
    pub fn checkout() -> Self {
        let front = ServiceSpec::leaf("front", Latency::ms(5.0, 10.0))
            .then(vec![Call::grpc("cart", "shop.Cart/Get"), Call::http("pricing", "/price")])
            .then(vec![Call::http("paya", "/pay")])
            .reaching("payb");
        let services = vec![
            front,
            ServiceSpec::leaf("cart", Latency::ms(15.0, 45.0)),
            ServiceSpec::leaf("pricing", Latency::ms(20.0, 60.0)),
            ServiceSpec::leaf("paya", Latency::ms(40.0, 120.0)),
            ServiceSpec::leaf("payb", Latency::ms(40.0, 100.0)),
        ];
        Self { services, alternates: vec!["payb".to_owned()] }
    }

    /// A chain: each service calls the next one's `/work`. `latency` is everybody's.
    pub fn chain(names: &[&str], latency: Latency) -> Self {
        let spec = |(i, name): (usize, &&str)| {
            let leaf = ServiceSpec::leaf(name, latency);
            match names.get(i + 1) {
                Some(next) => leaf.then(vec![Call::http(next, "/work")]),
                None => leaf,
            }
        };
        Self { services: names.iter().enumerate().map(spec).collect(), alternates: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_named_once() {
        let topology = Topology::checkout();
        assert_eq!(topology.services[0].destinations(), ["cart", "pricing", "paya", "payb"]);
        assert!(topology.services[1].destinations().is_empty());
    }

    #[test]
    fn a_chain_ends() {
        let chain = Topology::chain(&["a", "b", "c"], Latency::none());
        let calls: Vec<_> = chain.services.iter().map(ServiceSpec::destinations).collect();
        assert_eq!(calls, [vec!["b".to_owned()], vec!["c".to_owned()], vec![]]);
    }
}
