//! The answering side: time, fault, dependencies, answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use tokio::task::JoinSet;

use super::super::headers::{self, BAGGAGE, DEGRADED, REQUEST_ID, SERVED_BY, TRACEPARENT, child_of};
use super::super::topology::Call;
use super::super::{fault::Fault, grpc};
use super::{Body, Inner, Outbound, Propagate, Seen, lock};

/// What a fault and the random draw make of one request.
enum Fate {
    AnswerAfter(Duration),
    Fail(u16),
    Hang,
}

/// What came of calling dependencies.
#[derive(Default)]
struct Parts {
    served_by: Vec<String>,
    degraded: bool,
}

/// The request's parts that calls inherit.
struct Cause {
    method: Method,
    headers: HeaderMap,
    body: Bytes,
}

/// Answers one request.
pub(super) async fn answer(
    inner: Arc<Inner>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let fate = inner.fate();
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let cause = Arc::new(Cause { method: head.method, headers: head.headers, body });
    inner.remember(&cause, path);
    let is_grpc = grpc::is_grpc(&cause.headers);
    Ok(match fate {
        Fate::Hang => std::future::pending().await,
        Fate::Fail(status) => refusal(is_grpc, status, grpc::UNAVAILABLE),
        Fate::AnswerAfter(time) => {
            tokio::time::sleep(time).await;
            match dependencies(&inner, &cause).await {
                Some(parts) => inner.good(is_grpc, parts),
                None => refusal(is_grpc, 502, grpc::INTERNAL),
            }
        }
    })
}

impl Inner {
    fn fate(&self) -> Fate {
        let fault = *self.fault.borrow();
        let mut draws = lock(&self.draws);
        let time = self.spec.latency.draw(&mut draws.times);
        // Drawn whether or not it is needed: a fault must not shift the sequence.
        let chance = draws.times.f64();
        match fault {
            Fault::Slow { factor } => Fate::AnswerAfter(time.mul_f64(factor)),
            Fault::Late { share, by } if chance < share => Fate::AnswerAfter(time + by),
            Fault::Errors { share, status } if chance < share => Fate::Fail(status),
            Fault::Hang | Fault::Refuse => Fate::Hang,
            Fault::None | Fault::Late { .. } | Fault::Errors { .. } => Fate::AnswerAfter(time),
        }
    }

    fn remember(&self, cause: &Cause, path: String) {
        let Cause { method, headers, body } = cause;
        let (method, headers, body) = (method.clone(), headers.clone(), body.clone());
        lock(&self.seen).add(Seen { method, path, headers, body });
    }

    fn good(&self, is_grpc: bool, mut parts: Parts) -> Response<Body> {
        parts.served_by.push(self.spec.name.clone());
        let mut response = if is_grpc { grpc::response(0) } else { json(&self.spec.name) };
        let headers = response.headers_mut();
        headers.insert(SERVED_BY, headers::value(&parts.served_by.join(",")));
        if parts.degraded {
            headers.insert(DEGRADED, HeaderValue::from_static("1"));
        }
        response
    }

    fn context(&self, of: &HeaderMap) -> HeaderMap {
        let mut context = HeaderMap::new();
        if self.propagate == Propagate::Both {
            of.get_all(BAGGAGE).iter().for_each(|v| {
                context.append(BAGGAGE, v.clone());
            });
        }
        if self.propagate == Propagate::RequestIdOnly {
            of.get(REQUEST_ID).into_iter().for_each(|id| drop(context.insert(REQUEST_ID, id.clone())));
        }
        if matches!(self.propagate, Propagate::Both | Propagate::TraceparentOnly)
            && let Some(traceparent) = of.get(TRACEPARENT)
        {
            let span = lock(&self.draws).spans.u64(1..);
            context.insert(TRACEPARENT, child_of(traceparent, span));
        }
        context
    }
}

/// All stages in order; `None` as soon as one call has no good answer.
async fn dependencies(inner: &Arc<Inner>, cause: &Arc<Cause>) -> Option<Parts> {
    let mut parts = Parts::default();
    for stage in &inner.spec.stages {
        let mut calls = JoinSet::new();
        for one in stage {
            calls.spawn(call(Arc::clone(inner), one.clone(), Arc::clone(cause)));
        }
        while let Some(ended) = calls.join_next().await {
            let headers = ended.ok()??;
            parts.served_by.extend(headers::served_by(&headers));
            parts.degraded |= headers.contains_key(DEGRADED);
        }
    }
    parts.served_by.sort();
    Some(parts)
}

/// Headers and trailers of a good answer.
async fn call(inner: Arc<Inner>, call: Call, cause: Arc<Cause>) -> Option<HeaderMap> {
    let Outbound { http, grpc } = inner.outbound.as_ref()?;
    let client = if call.grpc { grpc } else { http };
    let request = request(&call, &cause, inner.context(&cause.headers))?;
    let response = client.request(request).await.ok()?;
    let (head, body) = response.into_parts();
    let mut headers = head.headers;
    headers.extend(body.collect().await.ok()?.trailers().cloned().unwrap_or_default());
    let good = head.status.is_success() && (!call.grpc || grpc::status(&headers) == Some(0));
    good.then_some(headers)
}

fn request(call: &Call, cause: &Cause, mut context: HeaderMap) -> Option<Request<Full<Bytes>>> {
    let builder = Request::builder().uri(format!("http://{}{}", call.to, call.path));
    let mut request = if call.grpc {
        context.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        context.insert("te", HeaderValue::from_static("trailers"));
        let builder = builder.method(Method::POST).version(http::Version::HTTP_2);
        builder.body(Full::new(grpc::frame(b""))).ok()?
    } else {
        builder.method(cause.method.clone()).body(Full::new(cause.body.clone())).ok()?
    };
    request.headers_mut().extend(context);
    Some(request)
}

fn refusal(is_grpc: bool, status: u16, grpc_status: u16) -> Response<Body> {
    if is_grpc {
        return grpc::response(grpc_status);
    }
    let mut response = Response::new(Full::default().boxed());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response
}

fn json(name: &str) -> Response<Body> {
    let body = format!("{{\"service\":\"{name}\"}}\n");
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
