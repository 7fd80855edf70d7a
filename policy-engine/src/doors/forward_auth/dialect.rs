//! Which fields describe a client's request, by the proxy that sends them.

use std::net::IpAddr;

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vouchsafe_http::HttpProblem;

use crate::doors::forwarded::over_http::{clients_fields, last_address, needed_field, points_field};
use crate::doors::forwarded::{Forwarded, Names, Presented, Unrecognised};
use crate::doors::http_request::RawRequest;

/// A proxy that asks by forward authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// nginx, `auth_request`. It sends no field by itself: docs/examples/nginx sets up each.
    Nginx,
    /// Traefik, `forwardAuth`, with `passTLSClientCert` before it.
    Traefik,
    /// Caddy, `forward_auth`.
    Caddy,
}

/// The names of the fields.
struct Fields {
    method: &'static str,
    host: &'static str,
    target: &'static str,
    address: &'static str,
    certificate: &'static str,
    /// Says `SUCCESS` when the certificate is verified, where the proxy passes on those that are not too.
    verified: Option<&'static str>,
}

const SCHEME: &str = "x-forwarded-proto";

impl Dialect {
    const fn fields(self) -> Fields {
        const FORWARDED: Fields = Fields {
            method: "x-forwarded-method",
            host: "x-forwarded-host",
            target: "x-forwarded-uri",
            address: "x-forwarded-for",
            certificate: "x-client-cert",
            verified: None,
        };
        match self {
            Self::Nginx => Fields {
                method: "x-original-method",
                host: "x-original-host",
                target: "x-original-uri",
                address: "x-real-ip",
                verified: Some("x-client-verify"),
                ..FORWARDED
            },
            Self::Traefik => Fields { certificate: "x-forwarded-tls-client-cert", ..FORWARDED },
            Self::Caddy => FORWARDED,
        }
    }

    /// What the proxy passes on.
    pub(super) fn read(self, headers: &HeaderMap) -> Result<Forwarded<'_>, HttpProblem> {
        let fields = self.fields();
        let scheme = needed_field(headers, SCHEME)?;
        let presented = fields.presented(headers)?;
        let of_the_point = [
            fields.method,
            fields.host,
            fields.target,
            fields.address,
            fields.certificate,
            fields.verified.unwrap_or(fields.certificate),
        ];
        Ok(Forwarded {
            http: RawRequest {
                method: needed_field(headers, fields.method)?,
                scheme: Some(scheme),
                authority: needed_field(headers, fields.host)?,
                target: needed_field(headers, fields.target)?,
                fields: clients_fields(headers, &of_the_point),
                body: None,
                body_is_partial: false,
            },
            presented,
            source_ip: fields.address(headers)?,
            encrypted: scheme.eq_ignore_ascii_case(b"https"),
            names: Names::default(),
            // The answer has no place for obligations.
            understands: Vec::new(),
        })
    }
}

impl Fields {
    fn address(&self, headers: &HeaderMap) -> Result<Option<IpAddr>, HttpProblem> {
        Ok(last_address(points_field(headers, self.address)?))
    }

    /// The client's certificate. One that the proxy has not verified is none.
    fn presented(&self, headers: &HeaderMap) -> Result<Option<Result<Presented, Unrecognised>>, HttpProblem> {
        let Some(certificate) = points_field(headers, self.certificate)? else { return Ok(None) };
        if let Some(verified) = self.verified
            && needed_field(headers, verified)? != b"SUCCESS"
        {
            return Ok(None);
        }
        Ok(Some(Presented::by_certificate(&String::from_utf8_lossy(certificate))))
    }
}
