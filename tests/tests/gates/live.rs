//! A real Prometheus that holds made-up series around now, and may evaluate rules.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use emac_tests::supervise::{Process, Spec, reserve};
use emac_tests::{not_run, prometheus, promtool};
use serde_json::Value;

/// A series: its name with labels, and its value at a minute before or after now; `None` where it has none.
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) value: Box<dyn Fn(i64) -> Option<f64>>,
}

/// Minutes of series before now, and after.
const BEFORE: i64 = 30;
const AFTER: i64 = 12;

pub(crate) struct Live {
    port: u16,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Live {
    /// Prometheus and promtool; without them a test is not run.
    pub(crate) fn binary(test: &str) -> Option<(PathBuf, PathBuf)> {
        match (prometheus(), promtool()) {
            (Some(prometheus), Some(promtool)) => Some((prometheus, promtool)),
            _ => {
                not_run(test, "no Prometheus");
                None
            }
        }
    }

    /// Starts one with these series, a minute apart, and perhaps with rules that it evaluates every second.
    pub(crate) fn start(binary: &(PathBuf, PathBuf), series: &[Made], rules: Option<&[PathBuf]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let data = folder.path().join("data");
        // Rules record now, and nothing can be written before what is there already.
        let after = if rules.is_some() { 0 } else { AFTER };
        Self::fill(&binary.1, folder.path(), &data, series, now, after);
        let config = folder.path().join("prometheus.yml");
        let files: Vec<_> =
            rules.unwrap_or_default().iter().map(|file| format!("- {}\n", file.display())).collect();
        let rules = if files.is_empty() { String::new() } else { format!("rule_files:\n{}", files.concat()) };
        std::fs::write(&config, format!("global: {{evaluation_interval: 1s}}\n{rules}")).unwrap();
        let reserved = reserve().unwrap();
        let port = reserved.port();
        drop(reserved);
        let process = Spec::new("prometheus", &binary.0, folder.path())
            .args([
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={}", data.display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
                "--log.level=error".to_owned(),
            ])
            .start()
            .unwrap();
        let live = Self { port, _process: process, _folder: folder };
        let until = Instant::now() + Duration::from_secs(60);
        while live.get("/-/ready").is_none_or(|text| !text.contains("Ready")) {
            assert!(Instant::now() < until, "Prometheus is not ready");
            std::thread::sleep(Duration::from_millis(100));
        }
        live
    }

    fn fill(promtool: &Path, folder: &Path, data: &Path, series: &[Made], now: i64, after: i64) {
        let mut text = String::new();
        for made in series {
            for minute in -BEFORE..=after {
                if let Some(value) = (made.value)(minute) {
                    let _ = writeln!(text, "{} {value} {}", made.name, now + 60 * minute);
                }
            }
        }
        text.push_str("# EOF\n");
        let file = folder.join("series.om");
        std::fs::write(&file, text).unwrap();
        let args = ["tsdb", "create-blocks-from", "openmetrics", "--quiet"];
        let output = Command::new(promtool).args(args).arg(&file).arg(data).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: prometheus\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// A query as Prometheus writes it; what it says of one that is none.
    pub(crate) fn formatted(&self, query: &str) -> Result<String, String> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let text = self.get(&format!("/api/v1/format_query?query={escaped}")).ok_or("no answer")?;
        let (_, body) = text.split_once("\r\n\r\n").ok_or("no body")?;
        let answer: Value = serde_json::from_str(body).map_err(|error| format!("{error}: {body}"))?;
        match answer["data"].as_str() {
            Some(formatted) => Ok(formatted.to_owned()),
            None => Err(answer["error"].as_str().unwrap_or("no error").to_owned()),
        }
    }

    /// Values of a query now, with their labels.
    pub(crate) fn query(&self, query: &str) -> Result<Vec<(Value, f64)>, String> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let text = self.get(&format!("/api/v1/query?query={escaped}")).ok_or("no answer")?;
        let (_, body) = text.split_once("\r\n\r\n").ok_or("no body")?;
        let answer: Value = serde_json::from_str(body).map_err(|error| format!("{error}: {body}"))?;
        if answer["status"] != "success" {
            return Err(format!("{query}: {answer}"));
        }
        let value = |sample: &Value| {
            sample.as_str().unwrap_or_default().replace("Inf", "inf").parse::<f64>().unwrap()
        };
        Ok(match answer["data"]["resultType"].as_str() {
            Some("vector") => {
                let all = answer["data"]["result"].as_array().unwrap().iter();
                all.map(|one| (one["metric"].clone(), value(&one["value"][1]))).collect()
            }
            _ => vec![(Value::Null, value(&answer["data"]["result"][1]))],
        })
    }
}
