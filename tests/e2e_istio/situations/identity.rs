//! The control plane ends TLS itself, with certificates that istiod issued to it and to its peers, and that Istio's agents rotate.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use emac_proto::v1::ReportRequest;
use emac_tests::kube::told;
use emac_tests::supervise::Spec;
use emac_tests::testbed::wait_until;
use tonic::Code;

use crate::Told;
use crate::agents::{Agent, Pod};
use crate::mesh::{Mesh, PATIENCE};
use crate::secure;

const OWN_ID: &str = "spiffe://cluster.local/ns/emac-system/sa/emac";
const GRPC: &str = "127.0.0.1:18100";
const HTTP: &str = "127.0.0.1:18180";
/// Lifetime that agents ask for; they renew after half of it.
const LIFETIME: &str = "40s";

/// A proxy that is there for its certificate only.
const fn pod(name: &'static str, namespace: &'static str, account: &'static str, index: u16) -> Pod {
    Pod {
        name,
        namespace,
        account,
        kind: "sidecar",
        address: "127.0.1.41",
        labels: &[("app", "certificates")],
        index,
    }
}

/// Own and peers' certificates of a real istiod: who reports for itself is believed, who reports for another is not; both rotate while streams
/// are open, and what has expired lets nobody in.
pub(super) async fn certificates_of_istiod(mesh: &mut Mesh) -> Told {
    let folder = crate::ROOM.folder().join("certificates");
    let (own, _own_agent) = certificates(mesh, &folder, pod("emac-own", "emac-system", "emac", 6)).await?;
    let (front, _front_agent) = certificates(mesh, &folder, pod("front-own", "shop", "front", 7)).await?;
    let config = folder.join("emac.yaml");
    let text = format!(
        "apiVersion: emac.dev/v1alpha1\nkind: ControlPlaneConfig\nlisten: {{grpc: \"{GRPC}\", http: \"{HTTP}\"}}\n\
         identity: {{tls: {{certificate: {0}/cert-chain.pem, key: {0}/key.pem, authorities: {0}/root-cert.pem}}}}\n",
        own.display()
    );
    fs::write(&config, text).map_err(told)?;
    let spec = Spec::new("emac-tls", &mesh.tools.emac, &folder);
    let _control = spec.args(["serve", "--config", &config.display().to_string()]).start().map_err(told)?;
    let emac = mesh.tools.emac.clone();
    let begins = wait_until(PATIENCE, || async { status(&emac, &own, OWN_ID).is_ok() }).await;
    if !begins {
        return Err(status(&emac, &own, OWN_ID).err().unwrap_or_default());
    }
    let other_id = status(&emac, &own, "spiffe://cluster.local/ns/shop/sa/front").err().unwrap_or_default();
    if !other_id.contains(&format!("its certificate is for {OWN_ID}")) {
        return Err(format!("another id is believed: {other_id}"));
    }

    // What a peer may say, and a copy of what it says it with, for later.
    let old = folder.join("front-old");
    copy(&front, &old)?;
    let (mut open, answer) = secure::report(address()?, &old, report("shop/front", 1)).await.map_err(told)?;
    if answer.acknowledged_sequence != 1 {
        return Err(format!("{answer:?}"));
    }
    let for_another = secure::report(address()?, &front, report("shop/pay", 1)).await.err();
    let refused = for_another.filter(|status| status.code() == Code::PermissionDenied);
    let refused = refused.ok_or("a report for another workload is not refused")?.message().to_owned();

    // The stream ends with its certificate, and that certificate opens no other.
    let ended = tokio::time::timeout(PATIENCE * 2, open.answers.message()).await;
    match ended.map_err(|_| "a stream outlives its certificate".to_owned())? {
        Ok(Some(answer)) => return Err(format!("an answer nobody asked for: {answer:?}")),
        Ok(None) => return Err("it ended with OK".to_owned()),
        Err(status) if status.code() == Code::Unauthenticated => {}
        Err(status) => return Err(format!("it ended otherwise: {status:?}")),
    }
    if secure::report(address()?, &old, report("shop/front", 2)).await.is_ok() {
        return Err("a certificate that has expired is believed".to_owned());
    }
    // The next one does, to a control plane whose own has been replaced as well.
    let again = || async { secure::report(address_or_any(), &front, report("shop/front", 2)).await.is_ok() };
    if !wait_until(PATIENCE, again).await {
        return Err("the renewed certificate is not believed".to_owned());
    }
    status(&emac, &own, OWN_ID)?;
    Ok(format!(
        "reports of shop/front are taken; refused: \"{refused}\"; after {LIFETIME} the stream ended, the expired certificate was refused and its successor taken"
    ))
}

/// Starts an agent that writes its certificates, and waits for them.
async fn certificates(mesh: &Mesh, folder: &Path, pod: Pod) -> Told<(PathBuf, Agent)> {
    let written = folder.join(format!("{}-certificates", pod.name));
    fs::create_dir_all(&written).map_err(told)?;
    let out = written.display().to_string();
    let more = [("OUTPUT_CERTS", out.as_str()), ("SECRET_TTL", LIFETIME)];
    let agent = Agent::start_with(&mesh.tools, folder, &mesh.kube, pod, &[], &more)?;
    let there = || async {
        ["cert-chain.pem", "key.pem", "root-cert.pem"].iter().all(|file| written.join(file).is_file())
    };
    match wait_until(PATIENCE, there).await {
        true => Ok((written, agent)),
        false => Err(format!("{} has no certificates", agent.pod.name)),
    }
}

/// `emac status` over HTTPS, by the authority of the mesh and an id.
fn status(emac: &Path, certificates: &Path, id: &str) -> Told {
    let file = |name: &str| certificates.join(name).display().to_string();
    let run = Command::new(emac)
        .args([
            "status",
            "--server",
            &format!("https://{HTTP}"),
            "--ca",
            &file("root-cert.pem"),
            "--server-id",
            id,
        ])
        .args(["--cert", &file("cert-chain.pem"), "--key", &file("key.pem")])
        .output()
        .map_err(told)?;
    match run.status.success() {
        true => Ok(String::from_utf8_lossy(&run.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&run.stderr).into_owned()),
    }
}

fn copy(from: &Path, to: &Path) -> Told<()> {
    fs::create_dir_all(to).map_err(told)?;
    for file in ["cert-chain.pem", "key.pem", "root-cert.pem"] {
        fs::copy(from.join(file), to.join(file)).map_err(told)?;
    }
    Ok(())
}

fn address() -> Told<SocketAddr> {
    GRPC.parse().map_err(told)
}

fn address_or_any() -> SocketAddr {
    address().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn report(workload: &str, sequence: u64) -> ReportRequest {
    ReportRequest {
        node: "sidecar~own".to_owned(),
        workload: workload.to_owned(),
        epoch: 1,
        sequence,
        start_unix_ms: 1,
        end_unix_ms: 2,
        ..ReportRequest::default()
    }
}
