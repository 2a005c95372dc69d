//! Which exposition a scraper asked for.
//!
//! RFC 9110 section 12.5.1, as far as scrapers use it: media ranges with parameters and `q`; an unknown or refused range is skipped,
//! and a request nobody can satisfy gets the classic text, which every reader of metrics understands.

/// The formats, best first: on equal `q` the one that carries more wins only if it was asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `io.prometheus.client.MetricFamily`, length delimited; carries native histograms.
    Protobuf,
    /// OpenMetrics text 1.0.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Text,
}

impl Format {
    /// The `Content-Type` of the answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The format for an `Accept` header; of equally wanted ones the first named.
    pub fn negotiate(accept: &str) -> Self {
        let mut best = (0.0, Self::Text);
        for range in accept.split(',') {
            let Some((quality, format)) = parse_range(range) else { continue };
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }
}

fn parse_range(range: &str) -> Option<(f64, Format)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let (mut quality, mut encoding, mut version) = (1.0, String::new(), String::new());
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => quality = value.parse().ok()?,
            "encoding" => encoding = value.to_ascii_lowercase(),
            "version" => version = value.to_string(),
            _ => {}
        }
    }
    let format = match media.as_str() {
        "application/vnd.google.protobuf" if encoding == "delimited" => Format::Protobuf,
        "application/openmetrics-text" if version.is_empty() || version == "1.0.0" => Format::OpenMetrics,
        "text/plain" | "text/*" | "*/*" => Format::Text,
        _ => return None,
    };
    Some((quality, format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_with_native_histograms_gets_protobuf() {
        let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                      application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                      application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,*/*;q=0.1";
        assert_eq!(Format::negotiate(accept), Format::Protobuf);
    }

    #[test]
    fn quality_decides_and_zero_refuses() {
        assert_eq!(
            Format::negotiate("text/plain;q=0.5, application/openmetrics-text;q=0.9"),
            Format::OpenMetrics
        );
        assert_eq!(Format::negotiate("application/openmetrics-text;q=0, text/plain;q=0.1"), Format::Text);
    }

    #[test]
    fn anything_else_gets_text() {
        for accept in ["", "*/*", "image/png", "application/vnd.google.protobuf", ";;;=,,", "text/plain;q=x"]
        {
            assert_eq!(Format::negotiate(accept), Format::Text, "{accept}");
        }
    }
}
