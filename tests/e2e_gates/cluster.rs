//! Everything that runs: the API server, both controllers, Prometheus, and the pods that are played.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use emac_tests::kube::{Kube, Told, told};
use emac_tests::supervise::{Process, Spec};
use serde_json::Value;

use crate::api::{self, Api};
use crate::pods;
use crate::series::{Answers, Series};
use crate::tools::Tools;

/// Where the scenarios' objects are.
pub(crate) const NAMESPACE: &str = "gates";
/// Of `prometheus.monitoring.svc`, which templates name.
const PROMETHEUS: u16 = 9090;

pub(crate) struct Cluster {
    pub(crate) kube: Kube,
    pub(crate) api: Api,
    pub(crate) folder: PathBuf,
    pub(crate) emac: PathBuf,
    series: Option<Series>,
    parts: Vec<Process>,
    began: Instant,
}

impl Cluster {
    /// The API server with all definitions.
    pub(crate) async fn start(tools: &Tools) -> Told<Self> {
        let began = Instant::now();
        let folder = crate::ROOM.folder();
        let istio = folder.join("istio.yaml");
        fs::write(&istio, include_str!("objects/istio.yaml")).map_err(told)?;
        println!("{}:    0 s  etcd and kube-apiserver", crate::TEST);
        let kube = Kube::start(&tools.kubernetes, &folder, &[tools.definitions(), istio]).await?;
        let api = Api::start(&tools.kubernetes, &kube, &folder)?;
        kube.run(&["create", "namespace", NAMESPACE], None)?;
        Ok(Self { kube, api, folder, emac: tools.emac.clone(), series: None, parts: Vec::new(), began })
    }

    /// Tells what is being done, and since when.
    pub(crate) fn progress(&self, what: &str) {
        println!("{}: {:>4.0} s  {what}", crate::TEST, self.began.elapsed().as_secs_f64());
    }

    /// What `emac compile` writes for an intent: a folder.
    pub(crate) fn compile(&self, name: &str, intent: &str) -> Told<PathBuf> {
        let folder = self.folder.join("journeys").join(name);
        fs::create_dir_all(&folder).map_err(told)?;
        let file = folder.join("intent.yaml");
        fs::write(&file, intent).map_err(told)?;
        self.compile_file(&file, &folder.join("compiled"))
    }

    /// The same for an intent with files beside it.
    pub(crate) fn compile_file(&self, intent: &Path, out: &Path) -> Told<PathBuf> {
        let mut command = Command::new(&self.emac);
        let run = command.arg("compile").arg("--intent").arg(intent).arg("--out").arg(out).output();
        let run = run.map_err(told)?;
        match run.status.success() {
            true => Ok(out.to_owned()),
            false => {
                Err(format!("emac compile {}: {}", intent.display(), String::from_utf8_lossy(&run.stderr)))
            }
        }
    }

    /// `kubectl apply` of an object and of files as they are, in this order.
    pub(crate) fn apply(&self, object: &Value, files: &[PathBuf]) -> Told<()> {
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let mut arguments = vec!["apply", "--namespace", NAMESPACE, "-f", "-"];
        arguments.extend(files.iter().flat_map(|file| ["-f", file.as_str()]));
        self.kube.run(&arguments, Some(&object.to_string())).map(drop)
    }

    /// Prometheus with these rules, the controllers, and pods that answer so.
    pub(crate) fn run(
        &mut self,
        tools: &Tools,
        answers: BTreeMap<String, (Answers, Answers)>,
        rules: &[PathBuf],
    ) -> Told<()> {
        self.progress("Prometheus, rollouts-controller, flagger");
        let series = Series::start(answers)?;
        let list: String = rules.iter().map(|file| format!("- {}\n", file.display())).collect();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 5s}}\nrule_files:\n{list}scrape_configs:\n- job_name: pods\n  static_configs: [{{targets: ['127.0.0.1:{}']}}]\n",
            series.port
        );
        let file = self.folder.join("prometheus.yml");
        fs::write(&file, config).map_err(told)?;
        let prometheus = Spec::new("prometheus", &tools.prometheus, &self.folder).args([
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", self.folder.join("prometheus").display()),
            format!("--web.listen-address=127.0.0.1:{PROMETHEUS}"),
            "--log.level=warn".to_owned(),
        ]);
        let kubeconfig = self.kube.kubeconfig().display().to_string();
        let rollouts =
            Spec::new("rollouts-controller", tools.bin("rollouts-controller"), &self.folder).args([
                format!("--kubeconfig={kubeconfig}"),
                format!("--namespace={NAMESPACE}"),
                "--namespaced".to_owned(),
                "--leader-elect=false".to_owned(),
            ]);
        let flagger = Spec::new("flagger", tools.bin("flagger"), &self.folder).args([
            format!("-kubeconfig={kubeconfig}"),
            format!("-namespace={NAMESPACE}"),
            "-mesh-provider=istio".to_owned(),
            format!("-metrics-server=http://prometheus.monitoring.svc:{PROMETHEUS}"),
            "-port=8081".to_owned(),
        ]);
        for spec in [prometheus, rollouts, flagger] {
            self.parts.push(spec.start().map_err(told)?);
        }
        self.series = Some(series);
        Ok(())
    }

    /// Pods become ready, and are measured. An error when something that must run has ended.
    pub(crate) fn tick(&mut self) -> Told<()> {
        let groups = pods::play(&self.api)?;
        if let Some(series) = &self.series {
            series.set(groups);
        }
        for part in &mut self.parts {
            if part.exited().is_some() {
                return Err(format!("{} has ended: {}", part.name(), part.log_tail()));
            }
        }
        Ok(())
    }

    /// Values of a query now.
    pub(crate) fn query(&self, query: &str) -> Told<Vec<(Value, f64)>> {
        api::query(PROMETHEUS, query)
    }

    /// Plays pods until a condition holds.
    pub(crate) fn until(
        &mut self,
        patience: Duration,
        what: &str,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Told<()> {
        let end = Instant::now() + patience;
        loop {
            self.tick()?;
            if holds(self) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("{what}: not within {} s", patience.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}
