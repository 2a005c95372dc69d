//! Plain HTTP to what listens on loopback: the API server through `kubectl proxy`, and Prometheus.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use emac_tests::kube::{Kube, Told, told};
use emac_tests::supervise::{Process, Spec, reserve};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// The API server, asked a few times a second: a `kubectl` each time would be most of the work.
#[derive(Debug)]
pub(crate) struct Api {
    port: u16,
    _proxy: Process,
}

impl Api {
    pub(crate) fn start(kubernetes: &Path, kube: &Kube, folder: &Path) -> Told<Self> {
        let port = reserve().map_err(told)?.release();
        let arguments = [
            format!("--kubeconfig={}", kube.kubeconfig().display()),
            "proxy".to_owned(),
            format!("--port={port}"),
        ];
        let proxy = Spec::new("kubectl-proxy", kubernetes.join("kubectl"), folder)
            .args(arguments)
            .start()
            .map_err(told)?;
        let api = Self { port, _proxy: proxy };
        let until = Instant::now() + PATIENCE;
        while api.get("/readyz").is_err() {
            if Instant::now() > until {
                return Err("kubectl proxy does not answer".to_owned());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(api)
    }

    pub(crate) fn get(&self, path: &str) -> Told {
        exchange(self.port, &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"))
    }

    /// The objects of a list.
    pub(crate) fn list(&self, path: &str) -> Told<Vec<Value>> {
        let list: Value = serde_json::from_str(&self.get(path)?).map_err(told)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Merges into an object.
    pub(crate) fn merge(&self, path: &str, patch: &Value) -> Told {
        let body = patch.to_string();
        let head = format!(
            "PATCH {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/merge-patch+json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        exchange(self.port, &format!("{head}{body}"))
    }
}

/// Values of a PromQL query now, with their labels.
pub(crate) fn query(port: u16, query: &str) -> Told<Vec<(Value, f64)>> {
    let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let head = format!("GET /api/v1/query?query={escaped} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let answer: Value = serde_json::from_str(&exchange(port, &head)?).map_err(told)?;
    let all = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let value = |sample: &Value| sample.as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
    Ok(all.iter().map(|one| (one["metric"].clone(), value(&one["value"][1]))).collect())
}

fn exchange(port: u16, request: &str) -> Told {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(told)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    stream.write_all(request.as_bytes()).map_err(told)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(told)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    match status.starts_with('2') {
        true => Ok(body.to_owned()),
        false => {
            // A status object, in which some signs are escaped.
            let said: Value = serde_json::from_str(body).unwrap_or_default();
            Err(format!("{status}: {}", said["message"].as_str().unwrap_or(body)))
        }
    }
}
