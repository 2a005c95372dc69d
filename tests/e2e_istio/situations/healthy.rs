//! Nothing is wrong: every request is right, and everybody counted the same.

use crate::Told;
use crate::account::{Counters, all_counted, all_right, deadline, recognised};
use crate::mesh::{Gateway, JOURNEY, Mesh};
use crate::shipped;

const REQUESTS: u64 = 200;

/// The mesh by itself, before any plugin.
pub(super) async fn without_the_filter(mesh: &mut Mesh) -> Told {
    for gateway in [Gateway::Api, Gateway::Classic] {
        all_right(&mesh.load(gateway).rate(50.0).count(REQUESTS).run().await)?;
    }
    Ok(format!("{REQUESTS} requests through either gateway, all right"))
}

/// As shipped, module from the registry, gateway of the Gateway API.
pub(super) async fn gateway_api(mesh: &mut Mesh) -> Told {
    counted(mesh, Gateway::Api).await
}

/// As shipped, gateway with a selector.
pub(super) async fn gateway_classic(mesh: &mut Mesh) -> Told {
    counted(mesh, Gateway::Classic).await
}

/// The same with the module in a file.
pub(super) async fn module_from_a_file(mesh: &mut Mesh) -> Told {
    let url = format!("file://{}", mesh.tools.wasm.display());
    let plugins = shipped::plugins_with(&mesh.kube, |spec| spec["url"] = url.as_str().into())?;
    mesh.kube.apply(&plugins)?;
    mesh.extended(|text| text.contains(&mesh.tools.wasm.display().to_string())).await?;
    let seen = counted(mesh, Gateway::Api).await?;
    Ok(seen)
}

async fn counted(mesh: &Mesh, gateway: Gateway) -> Told {
    mesh.plugged().await?;
    recognised(mesh, gateway).await?;
    let before = Counters::settled(mesh).await?;
    let services = [mesh.service("front")?, mesh.service("pay")?];
    services.iter().for_each(|service| service.forget());
    let began = now_ms();
    all_right(&mesh.load(gateway).rate(50.0).count(REQUESTS).run().await)?;
    let ended = now_ms();
    for service in services {
        let seen = service.seen();
        // Inside a pod the deadline is a moment: after the request began, and at most the journey's 4 s after it ended.
        let carried = seen
            .iter()
            .filter_map(|request| deadline(&request.headers))
            .filter(|at| (began..ended + 4_000).contains(at));
        let carried = carried.count() as u64;
        if service.count() != REQUESTS || carried != REQUESTS {
            let first = seen.first().map(|request| request.headers.clone());
            return Err(format!(
                "{} saw {} requests, {carried} of them with the deadline of {JOURNEY}; the first: {first:?}",
                service.name(),
                service.count()
            ));
        }
    }
    all_counted(mesh, &before, gateway, REQUESTS).await?;
    Ok(format!("{REQUESTS} requests, all right, deadline carried to both services, every account exact"))
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
